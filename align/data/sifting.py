"""Sifting: the raw rows of one source -> what can be told of each by itself, here or in other processes.

What depends on other rows (duplicates, contradictions, `max_rows`) is left to who reads, in order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Protocol, get_args, get_type_hints

from align.data.composed import composed, is_composed
from align.data.conversion import Converter, PlacedRow
from align.data.errors import DataError
from align.data.formats.answers import Answer
from align.data.formats.table import FORMATS
from align.data.readers.json_rows import LineBlock, rows_of
from align.data.records import Place, Row, RowError
from align.data.row_file import BLOCK, packed, unpacked
from align.data.screening.inspection import Inspected, Inspector, Note, placed
from align.data.spec import ScreeningSpec, SourceSpec
from align.data.split import is_in_part, rank

OTHER_PART = "belongs to another part"

RawBlock = LineBlock | list[PlacedRow]


class Tally(Protocol):
    """Counts rows as they are read, and those that were brought to NFC."""

    read: int
    composed: int


@dataclass(frozen=True)
class Sifter:
    """What a source's rows are made into, and which checks each of them passes by itself."""

    name: str
    source: SourceSpec
    convert: Converter
    inspector: Inspector

    def inspected(self, raw_rows: Iterator[PlacedRow], tally: Tally) -> Iterator[Inspected]:
        """What every row is found to be, in order; rows are counted as they are read."""
        for place, row in self.convert(_counted(raw_rows, tally)):
            if isinstance(row, RowError):
                yield self.inspector.refuse(row, self.source.bad_rows, place)
            elif self.source.part is not None and not is_in_part(row, self.source.part):
                yield Inspected(place, (Note(OTHER_PART, "drop"),))
            else:
                yield self.inspector(placed(row, place), place)


@dataclass
class Sifted:
    """What a block of raw rows came to.

    `inspected` has no rows in it: those that are sound so far lie in `packs` as bytes, BLOCK together, in the
    same order, `ranks` beside them. `read` and `composed` are the tally of the block, `counts` what it was
    at each of `inspected`. `problem` says why reading stopped there.
    """

    inspected: list[Inspected] = field(default_factory=list)
    counts: list[tuple[int, int]] = field(default_factory=list)
    read: int = 0
    composed: int = 0
    packs: list[bytes] = field(default_factory=list)
    ranks: list[float] = field(default_factory=list)
    problem: str | None = None

    def fill(self) -> None:
        """Put the rows into `inspected`, for checks that need them."""
        rows = (row for pack in self.packs for row in unpacked(pack))
        for item in self.inspected:
            item.row = next(rows) if item.digest else None

    def packs_of(self, is_kept: Sequence[bool]) -> Iterator[tuple[bytes, list[float]]]:
        """The packs with their ranks, without the rows that are not kept.

        `is_kept` is about the rows in the packs; those behind its end are not kept.
        """
        for number, pack in enumerate(self.packs):
            span = slice(number * BLOCK, (number + 1) * BLOCK)
            ranks, flags = self.ranks[span], is_kept[span]
            if not all(flags) or len(flags) < len(ranks):
                pack = packed([row for row, flag in zip(unpacked(pack), flags, strict=False) if flag])
                ranks = [place for place, flag in zip(ranks, flags, strict=False) if flag]
            if ranks:
                yield pack, ranks


def can_be_sifted(source: SourceSpec) -> bool:
    """Whether rows can be made apart from each other: not where answers are compared, nor by a user's own
    function, which may remember the rows before.
    """
    if not isinstance(source.format, str) or source.map is not None or source.filter is not None:
        return False
    made = get_type_hints(FORMATS[source.format])["return"]
    return Answer not in (made, *get_args(made))


@dataclass(frozen=True)
class Sifting:
    """The work of a process: blocks of a source's raw rows -> Sifted."""

    name: str
    source: SourceSpec
    row_type: type[Row] | UnionType
    screening: ScreeningSpec
    control_tokens: Sequence[str]
    evaluation: dict[str, Sequence[str]]
    seed: int

    def begin(self) -> Callable[[RawBlock], Sifted]:
        """Prepare what every block needs."""
        inspector = Inspector(self.screening, self.control_tokens, self.evaluation)
        sifter = Sifter(self.name, self.source, Converter(self.name, self.source, self.row_type), inspector)
        return lambda block: self._sifted(sifter, block)

    def _sifted(self, sifter: Sifter, block: RawBlock) -> Sifted:
        found = Sifted()
        try:
            for item in sifter.inspected(_rows(self.name, block), found):
                found.inspected.append(item)
                found.counts.append((found.read, found.composed))
        except DataError as problem:
            found.problem = str(problem)
        sifter.inspector.look_for_leaks(found.inspected)
        rows = [item.row for item in found.inspected if item.row is not None]
        found.packs = [packed(rows[start : start + BLOCK]) for start in range(0, len(rows), BLOCK)]
        found.ranks = [rank(row, self.seed) for row in rows]
        for item in found.inspected:
            item.row = None
        return found


def _rows(name: str, block: RawBlock) -> Iterator[PlacedRow]:
    if not isinstance(block, LineBlock):
        return iter(block)
    origin = str(block.path)
    return ((Place(name, origin, line), raw) for line, raw in rows_of(block))


def _counted(raw_rows: Iterator[PlacedRow], tally: Tally) -> Iterator[PlacedRow]:
    """The rows as they are read, with their text in NFC."""
    for place, raw in raw_rows:
        tally.read += 1
        if is_composed(raw):
            yield place, raw
        else:
            tally.composed += 1
            yield place, composed(raw)
