"""Preferences that teach nothing: twice the same completion, or A over B here and B over A there."""

import unicodedata
from dataclasses import replace

from align.data.records import Message, PreferencePair, Row


def is_identical_pair(row: Row) -> bool:
    """Whether a row is a pair whose completions differ in white space and Unicode form at most."""
    return isinstance(row, PreferencePair) and _normal(row.chosen) == _normal(row.rejected)


def opposite(row: PreferencePair) -> PreferencePair:
    """The same two completions, preferred the other way round."""
    return replace(row, chosen=row.rejected, rejected=row.chosen)


def _normal(messages: tuple[Message, ...]) -> list[tuple[str, str]]:
    return [
        (message.role, " ".join(unicodedata.normalize("NFC", message.content).split()))
        for message in messages
    ]
