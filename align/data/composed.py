"""Composed: text in whatever Unicode form a file has it -> NFC, one form for what reads alike.

A Korean file from macOS spells every syllable as its letters (NFD): it looks the same, and is another text to
a tokenizer, to the search for duplicates and to an exact answer.

Source  Unicode Standard Annex #15, "Unicode normalization forms"
"""

from typing import Any
from unicodedata import is_normalized, normalize


def is_composed(value: Any) -> bool:
    """Whether every text in a raw value, names of fields included, is in NFC."""
    if isinstance(value, str):
        return value.isascii() or is_normalized("NFC", value)
    if isinstance(value, dict):
        return all(map(is_composed, value)) and all(map(is_composed, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_composed, value))
    return True


def composed(value: Any) -> Any:
    """A raw value with every text in it in NFC."""
    if isinstance(value, str):
        return normalize("NFC", value)
    if isinstance(value, dict):
        return {composed(key): composed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [composed(item) for item in value]
    return value
