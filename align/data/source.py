"""Source: a DataSpec -> canonical rows, screened, split and mixed, with a report of every row dropped.

Reads   local files, Hub datasets at a pinned revision, generated files (data/readers, data/generated)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any

from align.artifacts.digest import sha256_of
from align.data.conversion import Converter
from align.data.errors import DataError
from align.data.generated import materialise
from align.data.mixture import chosen, pick, rows_per_source
from align.data.readers.hub import described, hub_dataset
from align.data.readers.json_rows import RawRow
from align.data.readers.local import local_rows
from align.data.records import Place, Row, RowError
from align.data.report import Report, SourceReport
from align.data.screening.screen import Screen
from align.data.spec import DataSpec, SourceSpec
from align.data.split import is_held_out

BEYOND_MAX_ROWS = "beyond max_rows"


@dataclass(frozen=True)
class Rows:
    """What a stage trains on and is validated on; no row is in both.

    Sources stand one after the other in the order of their names, rows in the order of their files: batching
    shuffles, this does not.
    """

    train: list[Any]
    held_out: list[Any]
    report: Report


def load_rows(
    spec: DataSpec, row_type: type[Row] | UnionType, outputs: Path, *, control_tokens: Sequence[str] = ()
) -> Rows:
    """Read, convert, screen, split and mix.

    Args:
        spec: the dataset.
        row_type: the row shape that the caller needs, or a union of those it can do with.
        outputs: root of everything written; generated data goes below it.
        control_tokens: special tokens of the tokenizer, which must not stand in the data.

    Raises:
        DataError: anything that keeps the data from being used, with file and line and what to do.
    """
    screen = Screen(spec.screening, control_tokens)
    report = Report()
    pools: dict[str, list[Row]] = {}
    problems: list[str] = []
    for name in sorted(spec.sources):
        try:
            pools[name] = list(_kept(name, spec.sources[name], row_type, screen, report, outputs))
        except DataError as problem:
            problems.append(str(problem))
    screen.withdraw(pools, report)
    for name, rows in pools.items():
        account = report.sources[name]
        account.kept = len(rows)
        errors = [finding.error() for finding in account.findings.errors]
        problems += errors or ([] if rows else [_nothing_left(name, account)])
    if problems:
        raise DataError("\n".join(problems))
    return _split_and_mix(spec, pools, report)


def load_problems(field: str, spec: DataSpec, row_type: type[Row] | UnionType, outputs: Path) -> list[str]:
    """What keeps the rows of `field` from being used, as `field: problem` lines."""
    try:
        load_rows(spec, row_type, outputs)
    except (DataError, RowError) as problem:
        return [f"{field}: {line}" for line in str(problem).splitlines()]
    return []


def _open(source: SourceSpec, outputs: Path) -> tuple[str, Iterator[RawRow], str | None]:
    """(what errors call it, its raw rows, sha256 of the local file)."""
    if source.hub is not None:
        numbered = enumerate(hub_dataset(source.hub), start=1)
        return described(source.hub), ((f"row {number}", row) for number, row in numbered), None
    file = materialise(source, outputs)
    rows = local_rows(file, encoding=source.encoding, text_unit=source.text_unit, quoting=source.quoting)
    return str(file), rows, sha256_of(file) if file.is_file() else None


def _kept(
    name: str,
    source: SourceSpec,
    row_type: type[Row] | UnionType,
    screen: Screen,
    report: Report,
    outputs: Path,
) -> Iterator[Row]:
    """The rows that pass, as they are read; the rest is counted, with its place."""
    origin, raw_rows, digest = _open(source, outputs)
    revision = source.hub.revision if source.hub else None
    account = report.sources[name] = SourceReport(origin, digest, revision, source.card, name)
    convert, kept = Converter(name, source, row_type), 0
    for line, raw in raw_rows:
        account.rows_in += 1
        place = Place(name, origin, line)
        try:
            row = convert(raw)
        except RowError as cause:
            screen.refuse(cause, source.bad_rows, place, account)
            continue
        if row is None:
            account.note("filtered out", "drop", str(place))
        elif passed := screen(replace(row, place=place), account):
            yield passed
            kept += 1
            if kept == source.max_rows:
                return


def _nothing_left(name: str, account: SourceReport) -> str:
    if not account.rows_in:
        return f"{account.origin}: holds no rows (source {name!r})"
    reasons = "; ".join(f"{count} × {reason}" for reason, count in account.dropped.most_common())
    return f"{account.origin}: none of its {account.rows_in} rows can be used (source {name!r}): {reasons}"


def _split_and_mix(spec: DataSpec, pools: Mapping[str, list[Row]], report: Report) -> Rows:
    """Sample down to `max_rows`, hold out, then repeat what the weights ask to be repeated."""
    sizes = {name: len(rows) for name, rows in pools.items()}
    weights = {name: spec.sources[name].weight for name in pools}
    counts = rows_per_source(sizes, weights, spec.max_rows)
    sampled = {
        name: pick(rows, chosen(len(rows), min(counts[name], len(rows)), f"{spec.seed}:sample:{name}"))
        for name, rows in pools.items()
    }
    every = [row for rows in sampled.values() for row in rows]
    sides = iter(is_held_out(every, spec.held_out, spec.seed))
    train: list[Row] = []
    held_out: list[Row] = []
    for name, rows in sampled.items():
        apart = [(row, next(sides)) for row in rows]
        learnt = [row for row, aside in apart if not aside]
        repeated = round(counts[name] * len(learnt) / len(rows)) if rows else 0
        account = report.sources[name]
        account.leave_out(BEYOND_MAX_ROWS, sizes[name] - len(rows))
        account.train, account.held_out = repeated, len(rows) - len(learnt)
        if learnt:
            train += pick(learnt, chosen(len(learnt), repeated, f"{spec.seed}:repeat:{name}"))
        held_out += [row for row, aside in apart if aside]
    return Rows(train, held_out, report)
