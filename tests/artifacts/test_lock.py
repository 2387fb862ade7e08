"""At most one builder per artifact, whatever dies whenever."""

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from align.artifacts.durable import write_json
from align.artifacts.lock import STATUS, HeldError, Lock, LostError, Status, acquire, read_status


def in_child(work: "object") -> int:
    """Run a function in a forked process that ends without cleaning up; its return value is the exit code."""
    child = os.fork()
    if child == 0:
        os._exit(work())  # type: ignore[operator]
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def status_of(folder: Path) -> Status:
    status = read_status(folder)
    assert status is not None
    return status


def rewrite(folder: Path, status: Status) -> None:
    write_json(folder / STATUS, asdict(status))


def test_a_live_holder_is_named(tmp_path: Path) -> None:
    with acquire(tmp_path / "a"), pytest.raises(HeldError, match=rf"process {os.getpid()} on ") as held:
        acquire(tmp_path / "a")
    assert held.value.holder.host == status_of(tmp_path / "a").host


def test_a_dead_holder_on_this_machine_is_replaced_at_once(tmp_path: Path) -> None:
    def die() -> int:
        acquire(tmp_path / "a")
        return 7

    assert in_child(die) == 7
    before = status_of(tmp_path / "a")
    assert before.state == "running"
    assert not before.is_live
    acquire(tmp_path / "a")
    assert status_of(tmp_path / "a").claim == before.claim + 1
    assert status_of(tmp_path / "a").is_live


def test_a_process_number_used_again_is_not_the_holder(tmp_path: Path) -> None:
    acquire(tmp_path / "a")
    status = status_of(tmp_path / "a")
    assert status.is_live
    assert not replace(status, process_start=status.process_start + 1).is_live


@pytest.mark.parametrize("age, is_live", [(2.5, True), (3.5, False)])
def test_a_holder_elsewhere_is_gone_after_three_intervals(tmp_path: Path, age: float, is_live: bool) -> None:
    acquire(tmp_path / "a", interval=10)
    far = replace(
        status_of(tmp_path / "a"), namespace="another machine", pid=1, heartbeat=time.time() - 10 * age
    )
    rewrite(tmp_path / "a", far)
    if is_live:
        with pytest.raises(HeldError):
            acquire(tmp_path / "a")
    else:
        acquire(tmp_path / "a")


def test_the_heart_beats_while_the_context_is_open(tmp_path: Path) -> None:
    with acquire(tmp_path / "a", interval=0.02):
        first = status_of(tmp_path / "a").heartbeat
        deadline = time.monotonic() + 10
        while status_of(tmp_path / "a").heartbeat == first:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    after = status_of(tmp_path / "a")
    time.sleep(0.1)
    assert status_of(tmp_path / "a") == after


def test_an_exception_marks_the_artifact_failed_with_its_message(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), acquire(tmp_path / "a"):
        raise RuntimeError("the loss is not finite")
    status = status_of(tmp_path / "a")
    assert (status.state, status.error) == ("failed", "RuntimeError: the loss is not finite")
    acquire(tmp_path / "a")


def test_a_holder_that_was_replaced_notices_and_writes_nothing(tmp_path: Path) -> None:
    slow = acquire(tmp_path / "a", interval=10)
    rewrite(tmp_path / "a", replace(status_of(tmp_path / "a"), namespace="", heartbeat=0.0))
    fast = acquire(tmp_path / "a")
    held = (tmp_path / "a" / STATUS).read_text()
    with pytest.raises(LostError):
        slow.beat()
    with pytest.raises(LostError):
        slow.verify()
    slow.release("complete")
    assert (tmp_path / "a" / STATUS).read_text() == held
    fast.verify()


def test_a_lock_lost_at_work_stops_the_work(tmp_path: Path) -> None:
    with pytest.raises(LostError, match="taken over"), acquire(tmp_path / "a", interval=0.5):
        rewrite(tmp_path / "a", replace(status_of(tmp_path / "a"), namespace="", heartbeat=0.0))
        other = acquire(tmp_path / "a")
        time.sleep(30)
    other.verify()


def test_a_claim_counts_before_its_status_is_written(tmp_path: Path) -> None:
    acquire(tmp_path / "a")
    (tmp_path / "a" / STATUS).unlink()
    assert status_of(tmp_path / "a").is_live
    with pytest.raises(HeldError):
        acquire(tmp_path / "a")


def test_of_many_that_come_at_once_one_gets_in(tmp_path: Path) -> None:
    """Eight processes wait at a pipe, then go for a lock whose holder is gone; again and again."""
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        in_child(lambda folder=folder: bool(acquire(folder)) - 1)  # type: ignore[misc]
        gate_read, gate_write = os.pipe()
        stay_read, stay_write = os.pipe()
        tell_read, tell_write = os.pipe()
        children = []
        for _ in range(8):
            child = os.fork()
            if child == 0:
                os.close(gate_write)
                os.close(stay_write)
                os.read(gate_read, 1)
                try:
                    acquire(folder)
                    os.write(tell_write, b"in ")
                except HeldError:
                    os.write(tell_write, b"out ")
                except BaseException as problem:
                    os.write(tell_write, f"{type(problem).__name__} ".encode())
                os.read(stay_read, 1)  # hold it until all have tried
                os._exit(0)
            children.append(child)
        os.close(gate_read)
        os.close(gate_write)  # every reader sees the end of the pipe: go
        told: list[bytes] = []
        while len(told) < 8:
            told += os.read(tell_read, 100).split()
        os.close(stay_read)
        os.close(stay_write)
        os.close(tell_write)
        os.close(tell_read)
        for child in children:
            os.waitpid(child, 0)
        assert sorted(told) == [b"in"] + [b"out"] * 7


def test_a_damaged_status_is_no_holder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for text in ("", "{", json.dumps({"state": "running"}), "[]"):
        (tmp_path / "a" / STATUS).write_text(text)
        assert read_status(tmp_path / "a") is None
    assert isinstance(acquire(tmp_path / "a"), Lock)
