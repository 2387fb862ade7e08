"""Workers: results in order, errors in their place, and nobody left behind."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from align.data.errors import DataError
from align.workers.pool import WorkerError, in_order


@dataclass(frozen=True)
class Call:
    """A function of the standard library, called with each block."""

    function: Callable[[Any], Any]

    def begin(self) -> Callable[[Any], Any]:
        return self.function


def pairs(count: int, then: Exception | None = None) -> Iterator[list[int]]:
    for number in range(count):
        yield [number, -number]
    if then is not None:
        raise then


def received(results: Iterator[Any]) -> tuple[list[Any], Exception | None]:
    found = []
    try:
        for result in results:
            found.append(result)
    except Exception as problem:
        return found, problem
    return found, None


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_whoever_made_them(workers: int) -> None:
    assert list(in_order(Call(sorted), pairs(20), workers)) == [sorted(pair) for pair in pairs(20)]
    assert list(in_order(Call(sorted), [], workers)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_what_goes_wrong_is_raised_after_what_came_before(workers: int) -> None:
    found, problem = received(in_order(Call(sorted), pairs(5, DataError("line 7")), workers))
    assert (len(found), str(problem)) == (5, "line 7") and isinstance(problem, DataError)
    found, problem = received(in_order(Call(int), ["1", "2", "three", "4"], workers))
    assert found == [1, 2] and isinstance(problem, ValueError)


def test_workers_are_other_processes_and_end_with_the_results() -> None:
    results = in_order(Call(os.getpgid), [0] * 9, 2)
    assert set(results) == {os.getpgid(0)}
    results = in_order(Call(_process), range(9), 2)
    ids = {next(results), next(results)}
    assert len(ids) == 2 and os.getpid() not in ids
    results.close()
    for gone in ids:
        with pytest.raises(ProcessLookupError):
            os.kill(gone, 0)


def test_a_worker_that_dies_is_told_about() -> None:
    with pytest.raises(WorkerError, match="ended with 3"):
        list(in_order(Call(os._exit), [3], 2))


def _process(_: int) -> int:
    return os.getpid()
