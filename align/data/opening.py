"""Opening: a source of a specification -> its files or its Hub dataset, known by content; its raw rows.

Reads   local files, Hub datasets at a pinned revision, generated files (data/readers, data/generated)
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from align.artifacts.digest import Digests, sha256_of
from align.data.conversion import PlacedRow
from align.data.errors import DataError
from align.data.generated import materialise
from align.data.readers.hub import described, hub_dataset
from align.data.readers.json_rows import has_rows_in_lines, line_blocks
from align.data.readers.local import files_of, kind_of, local_rows
from align.data.records import Place
from align.data.sifting import RawBlock
from align.data.spec import SourceSpec
from align.data.standing import Standing, standing_of

PACKED = {".gz": 4, ".parquet": 4}  # how much smaller than its rows such a file is, about
LARGE = 16 * 2**20  # bytes of all sources from which on their rows lie on disk
BATCH = 512  # rows


@dataclass(frozen=True)
class Opened:
    """A source that is there: what errors call it, about how many bytes it has, its raw rows when asked,
    the files that they are in.

    `sha256` is that of a local file; `standing` says what the source's card was found to be worth.
    """

    name: str
    source: SourceSpec
    origin: str
    size: int
    raw_rows: Callable[[], Iterator[PlacedRow]] = field(repr=False)
    files: Sequence[Path]
    sha256: str | None
    standing: Standing

    def blocks(self) -> Iterator[RawBlock]:
        """The raw rows many at a time, not parsed yet where their file has one in each line."""
        if not self.files:
            yield from _batched(self.raw_rows())
        for file in self.files:
            if _is_json(self.source, file) and has_rows_in_lines(file, self.source.encoding):
                yield from line_blocks(file, self.source.encoding)
            else:
                yield from _batched(_rows(self.name, self.source, file))


def _is_json(source: SourceSpec, file: Path) -> bool:
    return source.delimiter is None and kind_of(file, source.read_as) == "json"


def open_source(name: str, source: SourceSpec, outputs: Path, digests: Digests) -> Opened:
    """Find a source, generating or fetching it where needed, and hold it against its card.

    Raises:
        DataError: it is not there, or not what its card says.
    """
    if source.hub is not None:
        dataset, origin = hub_dataset(source.hub), described(source.hub)
        numbered = lambda: (  # noqa: E731
            (Place(name, origin, f"row {number}"), row) for number, row in enumerate(dataset, start=1)
        )
        standing = standing_of(name, source, (), outputs)
        return Opened(name, source, origin, dataset.data.nbytes, numbered, (), None, standing)
    path = materialise(source, outputs)
    files: list[Path] = []
    size, sha256, standing = 0, None, Standing("no card")
    if path.exists():
        files = list(files_of(path))
        size = sum(file.stat().st_size * PACKED.get(file.suffix, 1) for file in files)
        known = [sha256_of(file) if size <= LARGE else digests.file(file) for file in files]
        sha256 = digests.folder(path) if path.is_dir() else known[0]
        standing = standing_of(name, source, known, outputs)
    read = lambda: (row for file in files_of(path) for row in _rows(name, source, file))  # noqa: E731
    return Opened(name, source, str(path), size, read, files, sha256, standing)


def _rows(name: str, source: SourceSpec, file: Path) -> Iterator[PlacedRow]:
    """The raw rows of a file with their places."""
    rows = local_rows(
        file,
        read_as=source.read_as,
        encoding=source.encoding,
        text_unit=source.text_unit,
        quoting=source.quoting,
        delimiter=source.delimiter,
        header=source.header,
    )
    return ((Place(name, str(file), line), raw) for line, raw in rows)


def _batched(rows: Iterator[PlacedRow]) -> Iterator[list[PlacedRow]]:
    """So many rows at a time; those before one that cannot be read come first."""
    batch: list[PlacedRow] = []
    try:
        for row in rows:
            batch.append(row)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except DataError:
        yield batch
        raise
    if batch:
        yield batch
