"""Preferences that teach nothing: twice the same completion."""

import unicodedata

from align.data.records import Message, PreferencePair, Row

OPENING = 4  # words


def is_identical_pair(row: Row) -> bool:
    """Whether a row is a pair whose completions differ in white space and Unicode form at most."""
    if not isinstance(row, PreferencePair) or len(row.chosen) != len(row.rejected):
        return False
    turns = list(zip(row.chosen, row.rejected, strict=True))
    return all(map(_open_alike, turns)) and all(_normal(one) == _normal(other) for one, other in turns)


def _open_alike(turns: tuple[Message, Message]) -> bool:
    """Whether two turns have the same role and first words: most differ there, at little cost."""
    one, other = turns
    return one.role == other.role and _words(one, OPENING) == _words(other, OPENING)


def _normal(message: Message) -> list[str]:
    return _words(message, -1)


def _words(message: Message, most: int) -> list[str]:
    """The first words in NFC, which changes no white space: so many, or all for -1."""
    words = message.content.split(None, most)[: None if most < 0 else most]
    return [word if word.isascii() else unicodedata.normalize("NFC", word) for word in words]
