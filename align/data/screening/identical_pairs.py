"""Preference pairs with twice the same completion: nothing is learnt from them, and no trainer says so."""

from align.data.records import Message, PreferencePair, Row


def is_identical_pair(row: Row) -> bool:
    """Whether a row is a pair whose completions differ in nothing but surrounding white space."""
    return isinstance(row, PreferencePair) and _stripped(row.chosen) == _stripped(row.rejected)


def _stripped(messages: tuple[Message, ...]) -> list[tuple[str, str]]:
    return [(message.role, message.content.strip()) for message in messages]
