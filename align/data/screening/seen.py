"""Seen: digests of rows -> where each was met first, in a table of numbers: 24 to 48 bytes a row."""

import re
from array import array

from align.data.records import Place

SLOTS = 2**10  # to begin with; always a power of two
FULL = 2 / 3  # share of the slots in use at which the table grows
LINE_BITS = 40
ROW = "row "
FIRST_NUMBER = re.compile(r"\d+")


class Seen:
    """Remembers digests by their first 8 bytes: a chance collision among 10^7 rows has odds of 10^-6.

    Open addressing: a digest lies in the slot that its bits name, or in the next free one.
    """

    def __init__(self) -> None:
        self._digests = array("Q", bytes(8 * SLOTS))  # 0 where a slot is free
        self._places = array("Q", bytes(8 * SLOTS))
        self._count = 0
        self._sources: dict[tuple[str, str, bool], int] = {}

    def __len__(self) -> int:
        return self._count

    def __contains__(self, digest: bytes) -> bool:
        return self._digests[self._slot(_key(digest))] != 0

    def __getitem__(self, digest: bytes) -> Place | None:
        """Where a digest was met; of several lines, or of a row in an array, the first line alone."""
        slot = self._slot(_key(digest))
        if not self._digests[slot]:
            raise KeyError(digest)
        number, line = divmod(self._places[slot], 2**LINE_BITS)
        if not number:
            return None
        source, origin, is_row = list(self._sources)[number - 1]
        return Place(source, origin, f"{ROW if is_row else ''}{line}")

    def add(self, digest: bytes, place: Place | None) -> None:
        """Remember a digest that is new."""
        if self._count >= FULL * len(self._digests):
            self._grow()
        key = _key(digest)
        slot = self._slot(key)
        self._digests[slot], self._places[slot] = key, self._packed(place)
        self._count += 1

    def _packed(self, place: Place | None) -> int:
        if place is None:
            return 0
        is_row = place.line.startswith(ROW)
        found = FIRST_NUMBER.search(place.line)
        line = int(found.group()) if found else 0
        number = self._sources.setdefault((place.source, place.origin, is_row), len(self._sources) + 1)
        return number << LINE_BITS | line

    def _slot(self, key: int) -> int:
        digests, last = self._digests, len(self._digests) - 1
        slot = key & last
        while digests[slot] and digests[slot] != key:
            slot = slot + 1 & last
        return slot

    def _grow(self) -> None:
        old = zip(self._digests, self._places, strict=True)
        self._digests = array("Q", bytes(16 * len(self._digests)))
        self._places = array("Q", bytes(8 * len(self._digests)))
        for key, place in old:
            if key:
                slot = self._slot(key)
                self._digests[slot], self._places[slot] = key, place


def _key(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little") or 1
