"""Split: rows -> training rows and held-out rows, by a hash of what opens each row."""

import hashlib
from collections.abc import Sequence
from itertools import groupby

from align.data.errors import DataError
from align.data.records import PreferencePair, Row, Text

HASH_RANGE = 2**64


def is_held_out(rows: Sequence[Row], held_out: float | int, seed: int) -> list[bool]:
    """For each row, whether it is held out; rows with the same opening are never parted.

    Args:
        rows: what to split.
        held_out: a float is a share, compared with each opening's hash, so that a row stays on its side when
            others come or go; at least one opening falls on each side. An integer is a number of rows:
            openings are taken in the order of their hashes until it is reached.
        seed: another seed gives another split.

    Raises:
        DataError: nothing would be left to train on.
    """
    ranks = [rank(row, seed) for row in rows]
    if not held_out or not rows:
        return [False] * len(rows)
    limit = _share(ranks, held_out) if isinstance(held_out, float) else _number(ranks, held_out)
    return [place < limit for place in ranks]


def rank(row: Row, seed: int) -> float:
    """A number in [0, 1) that depends on the row's opening and the seed alone, uniform over openings."""
    digest = hashlib.blake2b(
        f"{seed}\0{opening(row)}".encode("utf-8", "surrogatepass"), digest_size=8
    ).digest()
    return int.from_bytes(digest, "little") / HASH_RANGE


def opening(row: Row) -> str:
    """The first user turn of a dialogue, the whole of a plain text."""
    if isinstance(row, Text):
        return row.text
    messages = row.prompt if isinstance(row, PreferencePair) else row.messages
    return next((message.content for message in messages if message.role == "user"), messages[0].content)


def _share(ranks: Sequence[float], share: float) -> float:
    """The bound below which ranks are held out."""
    openings = sorted(set(ranks))
    if len(openings) < 2:
        raise DataError(
            f"held_out {share} of {len(ranks)} rows that all open alike leaves nothing to train on; "
            "set it to 0"
        )
    return min(max(share, openings[1]), openings[-1])


def _number(ranks: Sequence[float], number: int) -> float:
    taken = 0
    for place, group in groupby(sorted(ranks)):
        if taken >= number:
            return place
        taken += len(list(group))
    raise DataError(
        f"held_out {number} of {len(ranks)} rows leaves nothing to train on; lower it, or give a share"
    )
