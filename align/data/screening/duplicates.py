"""Digests of rows: two rows that say the same have the same one, in whatever source they stand."""

import hashlib

from align.data.records import Conversation, Message, Prompt, Row, Text

DIGEST_BYTES = 16  # 128 bits: a chance collision among 10^9 rows has odds below 10^-20


def content_digest(row: Row) -> bytes:
    """A hash of the row's turns, roles included; references and margins do not count."""
    parts = _parts(row)
    borders = ",".join([str(len(part)) for part in parts])  # so that "ab", "c" and "a", "bc" differ
    text = "".join([borders, *parts]).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest()


def _parts(row: Row) -> list[str]:
    if isinstance(row, Text):
        return [row.text]
    if isinstance(row, Conversation | Prompt):
        return _turns(row.messages)
    return [*_turns(row.prompt), "chosen", *_turns(row.chosen), "rejected", *_turns(row.rejected)]


def _turns(messages: tuple[Message, ...]) -> list[str]:
    return [part for message in messages for part in (message.role, message.content)]
