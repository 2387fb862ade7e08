"""Reading: the sources of a DataSpec, one row after the other -> the rows that pass, in memory or on disk.

Reads   local files, Hub datasets at a pinned revision, generated files (data/readers, data/generated)
Writes  outputs/rows/<key>/, where the sources are large; who asks for the same rows again finds them there
"""

import hashlib
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, get_args

from align.artifacts.digest import Digests
from align.artifacts.durable import write_json
from align.artifacts.fingerprint import described as identified
from align.artifacts.once import made_once, sweep
from align.config.source import source_digest
from align.data.conversion import Converter
from align.data.errors import DataError
from align.data.opening import LARGE, Opened, open_source
from align.data.readers.hub import hub_dataset
from align.data.records import Conversation, PreferencePair, Prompt, Row
from align.data.report import Report, SourceReport
from align.data.row_file import RowFile, RowWriter
from align.data.screening.inspection import Inspected
from align.data.screening.screen import Screen
from align.data.sifting import Sifted, Sifter, Sifting, can_be_sifted
from align.data.spec import DataSpec, OverlapSpec, ScreeningSpec
from align.data.split import question, rank
from align.workers.pool import cores, in_order

FOLDER, MARK, SETTLED = "rows", "report.json", "settled"
SHARED = 64 * 2**20  # bytes of a source from which on several processes convert and inspect its rows
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
    opened: list[Opened] = []
    problems: dict[str, str] = {}
    digests = Digests(outputs / "cache" / "digests.json")
    for name in sorted(spec.sources):
        try:
            opened.append(open_source(name, spec.sources[name], outputs, digests))
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
    reading.write(writer)
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


def _key(
    spec: DataSpec,
    opened: Sequence[Opened],
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
        opened: Sequence[Opened],
        row_type: type[Row] | UnionType,
        control_tokens: Sequence[str],
        evaluation: Mapping[str, Sequence[str]],
        problems: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._spec = spec
        self._opened = opened
        self._row_type = row_type
        self._problems = dict(problems)
        self._control_tokens = tuple(control_tokens)
        self._evaluation = dict(evaluation)
        self.screen = Screen(spec.screening, control_tokens, evaluation)
        self.report = Report()

    def rows(self) -> Iterator[tuple[Row, float]]:
        """The rows that pass, with their ranks."""
        for item in self._opened:
            with self._told(item):
                for row in self._kept(item):
                    yield row, rank(row, self._spec.seed)

    def write(self, writer: RowWriter) -> None:
        """Write the rows that pass; those of large sources are prepared a block at a time, by several
        processes where they are very large."""
        for item in self._opened:
            with self._told(item):
                if can_be_sifted(item.source):
                    self._write_sifted(item, writer)
                else:
                    for row in self._kept(item):
                        writer.append(row, rank(row, self._spec.seed))

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

    @contextmanager
    def _told(self, item: Opened) -> Iterator[None]:
        """Remember what keeps a source from being read on."""
        try:
            yield
        except DataError as problem:
            self._problems[item.name] = str(problem)

    def _account(self, item: Opened) -> SourceReport:
        source = item.source
        revision = source.hub.revision if source.hub else None
        account = SourceReport(item.origin, item.sha256, revision, source.card, item.standing, item.name)
        self.report.sources[item.name] = account
        return account

    def _kept(self, item: Opened) -> Iterator[Row]:
        """The rows of a source that pass, as they are read; the rest is counted, with its place."""
        account = self._account(item)
        convert = Converter(item.name, item.source, self._row_type)
        sifter = Sifter(item.name, item.source, convert, self.screen.inspector)
        for found in sifter.inspected(item.raw_rows(), account):
            self.screen.inspector.look_for_leaks([found])
            if self._admits(found, account):
                assert found.row is not None
                yield found.row
                if account.kept == item.source.max_rows:
                    return

    def _admits(self, found: Inspected, account: SourceReport) -> bool:
        account.rows_in += 1
        is_kept = self.screen.admit(found, account)
        account.kept += is_kept
        return is_kept

    def _write_sifted(self, item: Opened, writer: RowWriter) -> None:
        """The same with the work of `inspected` done by processes, a block of raw rows at a time."""
        account = self._account(item)
        sifting = Sifting(
            item.name,
            item.source,
            self._row_type,
            self._spec.screening,
            self._control_tokens,
            self._evaluation,
            self._spec.seed,
        )
        workers = cores() if item.size >= SHARED else 1
        with closing(in_order(sifting, item.blocks(), workers)) as blocks:
            for sifted in blocks:
                for pack, ranks in sifted.packs_of(self._admitted(sifted, account, item.source.max_rows)):
                    writer.append_pack(pack, ranks)
                if account.kept == item.source.max_rows:
                    return
                if sifted.problem is not None:
                    raise DataError(sifted.problem)

    def _admitted(self, sifted: Sifted, account: SourceReport, most: int | None) -> list[bool]:
        """Whether each of the rows in the packs is kept, up to the one that is the last of all."""
        read, composed = account.read, account.composed
        if self.screen.compares_texts:
            sifted.fill()
        kept: list[bool] = []
        for found, counts in zip(sifted.inspected, sifted.counts, strict=True):
            account.read, account.composed = read + counts[0], composed + counts[1]
            is_kept = self._admits(found, account)
            if found.digest:
                kept.append(is_kept)
            if account.kept == most:
                return kept
        account.read, account.composed = read + sifted.read, composed + sifted.composed
        return kept


def _nothing_left(name: str, account: SourceReport) -> str:
    if not account.read:
        return f"{account.origin}: holds no rows (source {name!r})"
    reasons = "; ".join(f"{count} × {reason}" for reason, count in account.dropped.most_common())
    return f"{account.origin}: none of its {account.rows_in} rows can be used (source {name!r}): {reasons}"
