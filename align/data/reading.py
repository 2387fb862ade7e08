"""Reading: the sources of a DataSpec, one row after the other -> the rows that pass, in memory or on disk.

Reads   local files, Hub datasets at a pinned revision, generated files (data/readers, data/generated)
Writes  outputs/rows/<key>/, where the sources are large; who asks for the same rows again finds them there
"""

import hashlib
import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, get_args

from align.artifacts.digest import Digests, sha256_of
from align.artifacts.durable import write_json
from align.artifacts.fingerprint import described as identified
from align.artifacts.once import made_once, sweep
from align.config.source import source_digest
from align.data.composed import composed, is_composed
from align.data.conversion import Converter, PlacedRow
from align.data.errors import DataError
from align.data.generated import materialise
from align.data.readers.hub import described, hub_dataset
from align.data.readers.local import files_of, local_rows
from align.data.records import Conversation, Place, PreferencePair, Prompt, Row, RowError
from align.data.report import Report, SourceReport
from align.data.row_file import RowFile, RowWriter
from align.data.screening.screen import Screen
from align.data.spec import DataSpec, OverlapSpec, ScreeningSpec, SourceSpec
from align.data.split import is_in_part, question, rank
from align.data.standing import Standing, standing_of

FOLDER, MARK, SETTLED = "rows", "report.json", "settled"
LARGE = 16 * 2**20  # bytes of all sources from which on their rows lie on disk
PACKED = {".gz": 4, ".parquet": 4}  # how much smaller than its rows such a file is, about
OTHER_PART = "belongs to another part"
KEY_LENGTH = 16


@dataclass(frozen=True)
class Pool:
    """The rows of all sources that passed, one source after the other in the order of their names.

    `ranks` decide which rows are held out. `key` names the rows that lie on disk: it is the same exactly
    where they are; None where they are in memory.
    """

    rows: Sequence[Any]
    ranks: Sequence[float]
    report: Report
    key: str | None = None


def read(
    spec: DataSpec, row_type: type[Row] | UnionType, outputs: Path, control_tokens: Sequence[str]
) -> Pool:
    """Read, convert and screen every source; rows of large ones are kept on disk, and found again.

    Raises:
        DataError: as `load_rows`.
    """
    opened: list[_Opened] = []
    problems: dict[str, str] = {}
    digests = Digests(outputs / "cache" / "digests.json")
    for name in sorted(spec.sources):
        try:
            opened.append(_open(name, spec.sources[name], outputs, digests))
        except DataError as problem:
            problems[name] = str(problem)
    evaluation = evaluation_prompts(spec.screening.overlap, outputs)
    if problems:
        _Pass(spec, opened, row_type, control_tokens, evaluation, problems).refuse()
    if sum(item.size for item in opened) <= LARGE:
        return _in_memory(_Pass(spec, opened, row_type, control_tokens, evaluation))
    key = _key(spec, opened, row_type, control_tokens, digests)
    sweep(outputs / FOLDER)
    folder = made_once(
        outputs / FOLDER / key,
        MARK,
        lambda folder: _to_disk(_Pass(spec, opened, row_type, control_tokens, evaluation), folder),
    )
    told = json.loads((folder / MARK).read_bytes())
    file = RowFile(folder / told["rows"])
    accounts = {
        item.name: SourceReport.from_dict(item.name, told["sources"][item.name], item.standing)
        for item in opened
    }
    return Pool(file, file.ranks, Report(accounts), key)


def evaluation_prompts(overlap: OverlapSpec | None, outputs: Path) -> dict[str, list[str]]:
    """What the evaluation sets of `screening.overlap` ask, by set.

    Raises:
        DataError: a set cannot be read.
    """
    if overlap is None:
        return {}
    found = {}
    for name, source in overlap.suites.items():
        whole = DataSpec(sources={name: source}, screening=ScreeningSpec(duplicates="keep"))
        try:
            found[name] = [
                question(row) for row in read(whole, Conversation | PreferencePair | Prompt, outputs, ()).rows
            ]
        except DataError as problem:
            raise DataError(f"screening.overlap.suites.{name}: {problem}") from problem
    return found


def _in_memory(reading: "_Pass") -> Pool:
    rows: list[Row] = []
    ranks = array("d")
    for row, place in reading.rows():
        rows.append(row)
        ranks.append(place)
    if gone := reading.screen.withdrawn(rows, reading.report):
        left = [number for number in range(len(rows)) if number not in gone]
        rows, ranks = [rows[number] for number in left], array("d", (ranks[number] for number in left))
    reading.raise_problems()
    return Pool(rows, ranks, reading.report)


def _to_disk(reading: "_Pass", folder: Path) -> None:
    writer = RowWriter(folder)
    for row, place in reading.rows():
        writer.append(row, place)
    writer.close()
    written = RowFile(folder)
    if gone := reading.screen.withdrawn(written, reading.report):
        settled = RowWriter(folder / SETTLED)
        for number, row in enumerate(written):
            if number not in gone:
                settled.append(row, written.ranks[number])
        settled.close()
    reading.raise_problems()
    write_json(folder / MARK, {**reading.report.as_dict(), "rows": SETTLED if gone else ""})


@dataclass(frozen=True)
class _Opened:
    """A source that is there: what errors call it, about how many bytes it has, its raw rows when asked.

    `sha256` is that of a local file; `standing` says what the source's card was found to be worth.
    """

    name: str
    source: SourceSpec
    origin: str
    size: int
    raw_rows: Callable[[], Iterator[PlacedRow]] = field(repr=False)
    sha256: str | None
    standing: Standing


def _open(name: str, source: SourceSpec, outputs: Path, digests: Digests) -> _Opened:
    if source.hub is not None:
        dataset, origin = hub_dataset(source.hub), described(source.hub)
        numbered = lambda: (  # noqa: E731
            (Place(name, origin, f"row {number}"), row) for number, row in enumerate(dataset, start=1)
        )
        standing = standing_of(name, source, (), outputs)
        return _Opened(name, source, origin, dataset.data.nbytes, numbered, None, standing)
    path = materialise(source, outputs)
    size, sha256, standing = 0, None, Standing("no card")
    if path.exists():
        files = list(files_of(path))
        size = sum(file.stat().st_size * PACKED.get(file.suffix, 1) for file in files)
        known = [sha256_of(file) if size <= LARGE else digests.file(file) for file in files]
        sha256 = digests.folder(path) if path.is_dir() else known[0]
        standing = standing_of(name, source, known, outputs)
    return _Opened(name, source, str(path), size, lambda: _local(name, source, path), sha256, standing)


def _local(name: str, source: SourceSpec, path: Path) -> Iterator[PlacedRow]:
    """The raw rows of a file, or of all files of a folder, with their places."""
    for file in files_of(path):
        rows = local_rows(
            file,
            read_as=source.read_as,
            encoding=source.encoding,
            text_unit=source.text_unit,
            quoting=source.quoting,
            delimiter=source.delimiter,
            header=source.header,
        )
        for line, raw in rows:
            yield Place(name, str(file), line), raw


def _key(
    spec: DataSpec,
    opened: Sequence[_Opened],
    row_type: type[Row] | UnionType,
    control_tokens: Sequence[str],
    digests: Digests,
) -> str:
    """A name for the rows that pass: what is read, how, and by which code; the mixture is made afterwards."""
    unmixed = {name: replace(source, weight=None) for name, source in spec.sources.items()}
    whole = replace(spec, sources=unmixed, max_rows=None, held_out=0.0)
    unpinned = [item.source.hub for item in opened if item.source.hub and item.source.hub.unpinned]
    asked = {
        "data": identified(whole, {}, digests),
        "seed": spec.seed,
        "told": [[item.name, item.origin, item.source.card] for item in opened],
        "contents": [hub_dataset(hub)._fingerprint for hub in unpinned],
        "shapes": sorted(item.__name__ for item in get_args(row_type) or (row_type,)),
        "control_tokens": sorted(set(control_tokens)),
        "code": source_digest(read),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]


class _Pass:
    """One way through all sources; what is wrong with rows is gathered, and told at the end."""

    def __init__(
        self,
        spec: DataSpec,
        opened: Sequence[_Opened],
        row_type: type[Row] | UnionType,
        control_tokens: Sequence[str],
        evaluation: Mapping[str, Sequence[str]],
        problems: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._spec = spec
        self._opened = opened
        self._row_type = row_type
        self._problems = dict(problems)
        self.screen = Screen(spec.screening, control_tokens, evaluation)
        self.report = Report()

    def rows(self) -> Iterator[tuple[Row, float]]:
        """The rows that pass, with their ranks."""
        for item in self._opened:
            try:
                for row in self._kept(item):
                    yield row, rank(row, self._spec.seed)
            except DataError as problem:
                self._problems[item.name] = str(problem)

    def refuse(self) -> None:
        """Look at every row for what else is wrong, and keep none.

        Raises:
            DataError: always, as there are problems already.
        """
        for _ in self.rows():
            pass
        self.raise_problems()

    def raise_problems(self) -> None:
        """Say everything that keeps the data from being used, where there is anything."""
        problems = [*self._problems.values()]
        for name, account in self.report.sources.items():
            errors = [finding.error() for finding in account.findings.errors]
            is_empty = not account.kept and name not in self._problems
            problems += errors or ([_nothing_left(name, account)] if is_empty else [])
        if problems:
            raise DataError("\n".join(problems))

    def _kept(self, item: _Opened) -> Iterator[Row]:
        """The rows of a source that pass, as they are read; the rest is counted, with its place."""
        source, name = item.source, item.name
        revision = source.hub.revision if source.hub else None
        account = SourceReport(item.origin, item.sha256, revision, source.card, item.standing, name)
        self.report.sources[name] = account
        convert = Converter(name, source, self._row_type)
        for place, row in convert(_counted(item.raw_rows(), account)):
            account.rows_in += 1
            if isinstance(row, RowError):
                self.screen.refuse(row, source.bad_rows, place, account)
            elif source.part is not None and not is_in_part(row, source.part):
                account.note(OTHER_PART, "drop", str(place))
            elif passed := self.screen(replace(row, place=place), account):
                account.kept += 1
                yield passed
                if account.kept == source.max_rows:
                    return


def _counted(raw_rows: Iterator[PlacedRow], account: SourceReport) -> Iterator[PlacedRow]:
    """The rows as they are read, with their text in NFC."""
    for place, raw in raw_rows:
        account.read += 1
        if is_composed(raw):
            yield place, raw
        else:
            account.composed += 1
            yield place, composed(raw)


def _nothing_left(name: str, account: SourceReport) -> str:
    if not account.read:
        return f"{account.origin}: holds no rows (source {name!r})"
    reasons = "; ".join(f"{count} × {reason}" for reason, count in account.dropped.most_common())
    return f"{account.origin}: none of its {account.rows_in} rows can be used (source {name!r}): {reasons}"
