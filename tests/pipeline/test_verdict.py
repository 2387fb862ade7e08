"""Of several processes that failed, the one to blame is named, not those that missed it."""

import pytest

from align.pipeline.job import Outcome
from align.pipeline.verdict import is_abandoned, posthumous, verdict

DONE = Outcome(state="done")
LEFT = "RuntimeError: Connection closed by peer"


def abandoned(rank: int) -> Outcome:
    return Outcome(state="abandoned", messages=(LEFT,), rank=rank)


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (
            RuntimeError("[third_party/gloo/transport/tcp/pair.cc:547] Connection reset by peer"),
            True,
        ),
        (
            RuntimeError("[gloo/transport/tcp/unbound_buffer.cc:84] Timed out waiting 15000ms"),
            True,
        ),
        (
            RuntimeError("Application timeout caused pair closure"),
            True,
        ),  # gloo, where it waited in another call
        (RuntimeError("NCCL error: remote process exited or there was a network error"), True),
        (RuntimeError("Connection reset by peer"), False),  # of a download, perhaps
        (TimeoutError("The read operation timed out"), False),
        (RuntimeError("gloo: no such device eth7"), False),
    ],
)
def test_a_lost_neighbour_is_recognised(problem: Exception, expected: bool) -> None:
    assert is_abandoned(problem) is expected


def test_nobody_spoke() -> None:
    assert verdict({}, range(2)) is None
    assert verdict({1: Outcome(state="done", rank=1)}, range(2)) is None


def test_all_is_well_when_rank_zero_says_so() -> None:
    assert verdict({0: DONE, 1: Outcome(state="done", rank=1)}, range(2)) == DONE


def test_a_rank_that_was_killed_is_to_blame() -> None:
    found = verdict({0: abandoned(0), 1: posthumous(-9, 1)}, range(2))
    assert found is not None and (found.state, found.rank) == ("starved", 1)
    assert found.messages[0].startswith("rank 1 was killed (signal 9)")


def test_a_rank_with_an_error_of_its_own_is_to_blame() -> None:
    failed = Outcome(state="failed", messages=("ValueError: bad",), rank=1)
    found = verdict({0: abandoned(0), 1: failed}, range(2))
    assert found == Outcome(state="failed", messages=("rank 1: ValueError: bad",), rank=1)
    assert verdict({0: Outcome(state="failed", messages=("ValueError: bad",))}, range(1)) == Outcome(
        state="failed", messages=("ValueError: bad",)
    )


def test_a_rank_that_says_nothing_is_named() -> None:
    found = verdict({0: abandoned(0), 2: abandoned(2)}, range(3))
    assert found is not None and found.rank == 1
    assert found.messages == (f"rank 1 no longer answered within launcher.timeout_minutes; rank 0: {LEFT}",)


def test_who_was_asked_to_stop_counts_more_than_who_missed_it() -> None:
    stopped = Outcome(state="stopped", messages=("saved at step 4",))
    assert verdict({0: stopped, 1: abandoned(1)}, range(2)) == stopped
    failed = Outcome(state="failed", messages=("rank 1 ended with exit code 3",), rank=1)
    assert verdict({0: stopped, 1: failed}, range(2)) == failed


def test_the_dead_are_told_by_signal_or_exit_code() -> None:
    assert posthumous(-11).messages == ("the worker ended with signal 11",)
    assert posthumous(3, 1).messages == ("rank 1 ended with exit code 3",)
