"""Scan: rows, by several processes -> evaluation prompts that leaked into them, and personal data in them."""

import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from align.data.records import Row, texts_of
from align.data.screening.overlap import Overlap
from align.data.screening.personal_data import PersonalDataKind, personal_data

BLOCK = 2048
EXAMPLES = 20  # places that are remembered of every kind of finding


@dataclass
class SuiteLeaks:
    """What leaked of one evaluation set: rows with any of its prompts, prompts with any row, some of both."""

    rows: int = 0
    prompts: Counter[int] = field(default_factory=Counter)
    examples: list[tuple[int, int]] = field(default_factory=list)

    def add(self, row: int, prompts: Sequence[int]) -> None:
        """A row with all the prompts that it shares words with."""
        self.rows += 1
        self.prompts.update(prompts)
        if len(self.examples) < EXAMPLES:
            self.examples.append((row, prompts[0]))


@dataclass
class Scan:
    """What was found in `rows` rows; examples are (row, prompt), or numbers of rows."""

    rows: int = 0
    leaks: dict[str, SuiteLeaks] = field(default_factory=dict)
    leaking_rows: int = 0
    personal: Counter[PersonalDataKind] = field(default_factory=Counter)
    personal_rows: int = 0
    personal_examples: dict[PersonalDataKind, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Block:
    """What one worker found in some rows: (row, set, prompt) and (row, kind)."""

    rows: int
    leaks: list[tuple[int, str, int]]
    personal: list[tuple[int, PersonalDataKind]]


@dataclass(frozen=True)
class _Work:
    """What every worker has: all rows, which are read where they lie, and what to look for."""

    rows: Sequence[Row]
    overlap: Overlap | None
    with_personal_data: bool

    def block(self, start: int) -> _Block:
        """Look through the rows from `start` on."""
        rows = self.rows[start : start + BLOCK]
        texts: list[str] = []
        owners: list[int] = []
        for number, row in enumerate(rows, start=start):
            own = texts_of(row)
            texts += own
            owners += [number] * len(own)
        leaks = self.overlap.leaks(texts) if self.overlap is not None else []
        found = {(owners[leak.text], leak.suite, leak.prompt) for leak in leaks}
        personal = []
        if self.with_personal_data:
            personal = [
                (owner, datum.kind)
                for owner, text in zip(owners, texts, strict=True)
                for datum in personal_data(text)
            ]
        return _Block(len(rows), sorted(found), personal)


_work: _Work | None = None


def _start(work: _Work) -> None:
    global _work
    _work = work


def _look(start: int) -> _Block:
    assert _work is not None
    return _work.block(start)


def scan(
    rows: Sequence[Row],
    suites: Mapping[str, Sequence[str]],
    *,
    with_personal_data: bool = True,
    workers: int | None = None,
) -> Scan:
    """Look through all rows, in the order in which they stand.

    Args:
        rows: canonical rows, in memory or on disk; workers are forked and read them where they are.
        suites: evaluation set -> text of its prompts.
        with_personal_data: whether that is looked for, too.
        workers: processes; None for one per core. One block of rows is read in this process.
    """
    work = _Work(rows, Overlap(suites) if suites else None, with_personal_data)
    found = Scan(leaks={suite: SuiteLeaks() for suite in suites})
    for block in _blocks(work, len(rows), workers or len(os.sched_getaffinity(0))):
        _add(found, block)
    return found


def _blocks(work: _Work, count: int, workers: int) -> Iterator[_Block]:
    starts = range(0, count, BLOCK)
    if workers == 1 or len(starts) < 2:
        yield from map(work.block, starts)
        return
    with multiprocessing.get_context("fork").Pool(workers, _start, (work,)) as pool:
        yield from pool.imap(_look, starts)


def _add(found: Scan, block: _Block) -> None:
    found.rows += block.rows
    by_row: dict[tuple[str, int], list[int]] = {}
    for row, suite, prompt in block.leaks:
        by_row.setdefault((suite, row), []).append(prompt)
    for (suite, row), prompts in by_row.items():
        found.leaks[suite].add(row, prompts)
    found.leaking_rows += len({row for row, _, _ in block.leaks})
    found.personal.update(kind for _, kind in block.personal)
    found.personal_rows += len({row for row, _ in block.personal})
    for row, kind in block.personal:
        examples = found.personal_examples.setdefault(kind, [])
        if len(examples) < EXAMPLES and row not in examples:
            examples.append(row)
