"""Source: a DataSpec -> canonical rows, screened, split and mixed, with a report of every row dropped.

Rows of large sources stay on disk (`align.data.reading`); splitting and mixing handle their numbers alone.
"""

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any

from align.data.mixture import chosen, rows_per_source, within_share
from align.data.reading import Pool, read
from align.data.records import Row
from align.data.report import Report
from align.data.row_file import Chosen
from align.data.spec import DataSpec
from align.data.split import held_out_bound

BEYOND_MAX_ROWS = "beyond max_rows"
BEYOND_QUOTA = "beyond max_source_share"


@dataclass(frozen=True)
class Rows:
    """What a stage trains on and is validated on; no row is in both.

    Sources stand one after the other in the order of their names, rows in the order of their files: batching
    shuffles, this does not. `key` names both sides where they lie on disk; None where they are in memory.
    """

    train: Sequence[Any]
    held_out: Sequence[Any]
    report: Report
    key: str | None = None

    def train_spans(self) -> dict[str, range]:
        """Which of the training rows each source gave; a source that gave none is left out."""
        return _spans((name, account.train) for name, account in self.report.sources.items())

    def held_out_spans(self) -> dict[str, range]:
        """Which of the held-out rows each source gave; a source that gave none is left out."""
        return _spans((name, account.held_out) for name, account in self.report.sources.items())


def load_rows(
    spec: DataSpec, row_type: type[Row] | UnionType, outputs: Path, *, control_tokens: Sequence[str] = ()
) -> Rows:
    """Read, convert, screen, split and mix.

    Args:
        spec: the dataset.
        row_type: the row shape that the caller needs, or a union of those it can do with.
        outputs: root of everything written; generated data and the rows of large sources go below it.
        control_tokens: special tokens of the tokenizer, which must not stand in the data.

    Raises:
        DataError: anything that keeps the data from being used, with file and line and what to do.
    """
    return _split_and_mix(spec, read(spec, row_type, outputs, control_tokens))


def _split_and_mix(spec: DataSpec, pool: Pool) -> Rows:
    """Sample down to `max_rows`, hold out, then repeat what the weights ask to be repeated."""
    accounts, ranks = pool.report.sources, pool.ranks
    sizes = {name: account.kept for name, account in accounts.items()}
    allowed = within_share(sizes, spec.screening.max_source_share)
    counts = rows_per_source(allowed, {name: spec.sources[name].weight for name in sizes}, spec.max_rows)
    sampled: dict[str, array[int]] = {}
    for name, span in _spans(sizes.items()).items():
        taken = chosen(sizes[name], min(counts[name], allowed[name]), f"{spec.seed}:sample:{name}")
        sampled[name] = array("q", (span[number] for number in taken))
    bound = held_out_bound(
        array("d", (ranks[row] for rows in sampled.values() for row in rows)), spec.held_out
    )
    train, held_out = array("q"), array("q")
    for name, rows in sampled.items():
        learnt = array("q", (row for row in rows if ranks[row] >= bound))
        repeated = round(counts[name] * len(learnt) / len(rows)) if rows else 0
        account = accounts[name]
        account.leave_out(BEYOND_QUOTA, sizes[name] - allowed[name])
        account.leave_out(BEYOND_MAX_ROWS, allowed[name] - len(rows))
        account.train, account.held_out = repeated, len(rows) - len(learnt)
        if learnt:
            again = chosen(len(learnt), repeated, f"{spec.seed}:repeat:{name}")
            train.extend(learnt[number] for number in again)
        held_out.extend(row for row in rows if ranks[row] < bound)
    if pool.key is None:
        return Rows([pool.rows[row] for row in train], [pool.rows[row] for row in held_out], pool.report)
    key = hashlib.sha256(pool.key.encode() + train.tobytes() + b"held out" + held_out.tobytes()).hexdigest()
    return Rows(Chosen(pool.rows, train), Chosen(pool.rows, held_out), pool.report, key)


def _spans(counts: Iterable[tuple[str, int]]) -> dict[str, range]:
    """Name and count, one after the other -> name and the numbers that fall to it."""
    found, start = {}, 0
    for name, count in counts:
        if count:
            found[name] = range(start, start + count)
        start += count
    return found
