"""Row file: canonical rows on disk, which are read back by their number; memory holds a few of them.

Rows are pickled in blocks, so they come back as they went in, whatever shape they have; nothing but our rows
and plain values is unpickled.
"""

import io
import os
import pickle
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, overload

from align.data import records
from align.data.records import Place, Row

ROWS, ENDS, STARTS, RANKS = "rows.bin", "ends.i64", "starts.i64", "ranks.f64"
BLOCK = 64  # the most rows that are read together: few enough to fetch one, enough to fetch all of them fast
BLOCKS_HELD = 8
SHAPES = [item for item in vars(records).values() if isinstance(item, type) and is_dataclass(item)]
OURS = [*SHAPES, Place]
PLAIN = {("datetime", "datetime"), ("datetime", "date"), ("datetime", "time"), ("decimal", "Decimal")}


def _reducer(shape: type) -> Callable[[Any], tuple[type, tuple[Any, ...]]]:
    """How a row is taken apart: as a call of its class, three times as fast as dataclasses do it."""
    names = [item.name for item in fields(shape)]
    return lambda row: (shape, tuple([getattr(row, name) for name in names]))


REDUCERS = {shape: _reducer(shape) for shape in SHAPES}


def packed(rows: Sequence[Row]) -> bytes:
    """Up to BLOCK rows as the bytes of one block of the file."""
    content = io.BytesIO()
    pickler = pickle.Pickler(content, protocol=5)
    pickler.dispatch_table = REDUCERS
    pickler.dump(rows)
    return content.getvalue()


def unpacked(content: bytes) -> list[Any]:
    """The rows of a block."""
    rows: list[Any] = _RowUnpickler(io.BytesIO(content)).load()
    return rows


class RowWriter:
    """Writes rows one after the other into a folder, each with the number that decides its split."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._stream = (folder / ROWS).open("wb")
        self._block: list[Row] = []
        self._ends = array("q")
        self._starts = array("q")
        self._ranks = array("d")

    def __len__(self) -> int:
        return len(self._ranks)

    def append(self, row: Row, rank: float) -> None:
        """Add a row."""
        self._block.append(row)
        self._ranks.append(rank)
        if len(self._block) == BLOCK:
            self._flush()

    def append_pack(self, pack: bytes, ranks: Sequence[float]) -> None:
        """Add the rows that `packed` made a pack of."""
        self._flush()
        self._write(pack, len(self))
        self._ranks.extend(ranks)

    def close(self) -> None:
        """Write what is left; the file can be read from here on."""
        self._flush()
        self._stream.close()
        for name, numbers in ((ENDS, self._ends), (STARTS, self._starts), (RANKS, self._ranks)):
            with (self._folder / name).open("wb") as stream:
                numbers.tofile(stream)

    def _flush(self) -> None:
        if self._block:
            self._write(packed(self._block), len(self) - len(self._block))
            self._block = []

    def _write(self, pack: bytes, start: int) -> None:
        self._stream.write(pack)
        self._starts.append(start)
        self._ends.append(self._stream.tell())


class RowFile(Sequence[Any]):
    """What a RowWriter wrote, as a sequence; it may be read from several processes at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = os.open(folder / ROWS, os.O_RDONLY)
        self._ends = _numbers(folder / ENDS, "q")
        self._starts = _numbers(folder / STARTS, "q")
        self.ranks = _numbers(folder / RANKS, "d")
        self._held: OrderedDict[int, list[Row]] = OrderedDict()

    def __reduce__(self) -> tuple[type["RowFile"], tuple[Path]]:
        """Another process opens the file itself."""
        return RowFile, (self._folder,)

    def __del__(self) -> None:
        os.close(self._descriptor)

    def __len__(self) -> int:
        return len(self.ranks)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        number = bisect_right(self._starts, place) - 1
        return self._block(number)[place - self._starts[number]]

    def _block(self, number: int) -> list[Row]:
        if (held := self._held.get(number)) is not None:
            return held
        start = self._ends[number - 1] if number else 0
        content = os.pread(self._descriptor, self._ends[number] - start, start)
        block = self._held[number] = unpacked(content)
        if len(self._held) > BLOCKS_HELD:
            self._held.popitem(last=False)
        return block


class Chosen(Sequence[Any]):
    """Some rows of a sequence, repeats included, in an order of their own."""

    def __init__(self, rows: Sequence[Any], numbers: Sequence[int]) -> None:
        self._rows = rows
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Any]:
        return (self._rows[number] for number in self._numbers)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self._rows[number] for number in self._numbers[index]]
        return self._rows[self._numbers[index]]


class _RowUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Rows and plain values; a file that names anything else was not written by a RowWriter."""
        is_ours = module == records.__name__ and vars(records).get(name) in OURS
        if not is_ours and (module, name) not in PLAIN:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a row")
        return super().find_class(module, name)


def _numbers(path: Path, kind: str) -> Any:
    numbers = array(kind)
    with path.open("rb") as stream:
        numbers.frombytes(stream.read())
    return numbers
