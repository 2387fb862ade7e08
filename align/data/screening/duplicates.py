"""Digests of rows: two rows that say the same have the same one, in whatever source they stand."""

import hashlib
from collections.abc import Sequence

from align.data.records import Conversation, Message, PreferencePair, Prompt, Row, Text

DIGEST_BYTES = 16  # 128 bits: a chance collision among 10^9 rows has odds below 10^-20


def content_digest(row: Row) -> bytes:
    """A hash of the row's turns, roles included; references and margins do not count."""
    if isinstance(row, Text):
        return _digest([row.text])
    if isinstance(row, Conversation | Prompt):
        return _digest(_turns(row.messages))
    return pair_digests(row)[0]


def pair_digests(row: PreferencePair) -> tuple[bytes, bytes]:
    """The digest of a pair, and that of the same two completions preferred the other way round."""
    prompt, chosen, rejected = _turns(row.prompt), _turns(row.chosen), _turns(row.rejected)
    return (
        _digest([*prompt, "chosen", *chosen, "rejected", *rejected]),
        _digest([*prompt, "chosen", *rejected, "rejected", *chosen]),
    )


def _digest(parts: Sequence[str]) -> bytes:
    borders = ",".join([str(len(part)) for part in parts])  # so that "ab", "c" and "a", "bc" differ
    text = "".join([borders, *parts]).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest()


def _turns(messages: tuple[Message, ...]) -> list[str]:
    return [part for message in messages for part in (message.role, message.content)]
