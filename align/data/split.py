"""Split: rows -> parts, training rows and held-out rows, by a hash of what opens each row."""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby

from align.data.errors import DataError
from align.data.records import Conversation, PreferencePair, Prompt, Row, Text
from align.data.spec import PartSpec

HASH_RANGE = 2**64
WHOLE = 1 - 1e-9  # shares that add up to this much leave nothing over


def rank(row: Row, seed: int) -> float:
    """A number in [0, 1) that depends on the row's opening and the seed alone, uniform over openings."""
    return _uniform(f"{seed}\0{opening(row)}")


def is_in_part(row: Row, part: PartSpec) -> bool:
    """Whether a row belongs to the part that is taken.

    The shares lie one after the other in [0, 1), by name, and the row's opening falls into one of them or
    behind them all. The hash is another than that of `rank`: a part is held out from like the whole.
    """
    names = sorted(part.shares)
    ends = [*accumulate(part.shares[name] for name in names)]
    ends[-1] = 1.0 if ends[-1] > WHOLE else ends[-1]
    number = names.index(part.take)
    start = ends[number - 1] if number else 0.0
    return start <= _uniform(f"{part.seed}\0{opening(row)}", b"part") < ends[number]


def held_out_bound(ranks: Sequence[float], held_out: float | int) -> float:
    """The bound below which a row's rank holds it out; rows with the same opening are never parted.

    Args:
        ranks: of all rows.
        held_out: a float is a share, compared with each rank, so that a row stays on its side when others
            come or go; at least one opening falls on each side. An integer is a number of rows: openings
            are taken in the order of their ranks until it is reached.

    Raises:
        DataError: nothing would be left to train on.
    """
    if not held_out or not ranks:
        return 0.0
    return _share(ranks, held_out) if isinstance(held_out, float) else _number(ranks, held_out)


def opening(row: Row) -> str:
    """The first user turn of a dialogue, the whole of a plain text."""
    if isinstance(row, Text):
        return row.text
    messages = row.prompt if isinstance(row, PreferencePair) else row.messages
    return next((message.content for message in messages if message.role == "user"), messages[0].content)


def _uniform(text: str, purpose: bytes = b"") -> float:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, person=purpose).digest()
    return int.from_bytes(digest, "little") / HASH_RANGE


def _share(ranks: Sequence[float], share: float) -> float:
    lowest, highest = min(ranks), max(ranks)
    if lowest == highest:
        raise DataError(
            f"held_out {share} of {len(ranks)} rows that all open alike leaves nothing to train on; "
            "set it to 0"
        )
    second = min(place for place in ranks if place > lowest)
    return min(max(share, second), highest)


def _number(ranks: Iterable[float], number: int) -> float:
    taken = 0
    for place, group in groupby(sorted(ranks)):
        if taken >= number:
            return place
        taken += len(list(group))
    raise DataError(
        f"held_out {number} of {taken} rows leaves nothing to train on; lower it, or give a share"
    )


def question(row: Conversation | PreferencePair | Prompt) -> str:
    """The last thing a user says in a row."""
    messages = row.prompt if isinstance(row, PreferencePair) else row.messages
    return next((message.content for message in reversed(messages) if message.role == "user"), "")
