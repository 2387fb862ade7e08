"""Artifacts are found by identity, complete or not, and a crash leaves them one or the other."""

import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from align.artifacts.lock import HeldError, LostError, acquire, read_status
from align.artifacts.store import (
    ArtifactDir,
    ArtifactError,
    Store,
    check_contents,
    check_sizes,
    read_lineage,
)

PRINT = "0123456789ab"
Build = Callable[..., ArtifactDir]


def test_an_artifact_is_complete_once_committed(store: Store, build: Build) -> None:
    artifact = store.artifact("sft", PRINT)
    assert artifact.path == store.root / "artifacts" / f"sft-{PRINT}"
    assert not artifact.is_complete
    build(artifact)
    assert artifact.is_complete
    assert store.acquire(artifact) is None
    assert set(read_lineage(artifact)["manifest"]) == {"model/model.safetensors", "model/config.json"}
    status = read_status(artifact.path)
    assert status is not None
    assert status.state == "complete"


def test_fresh_builds_beside_and_then_takes_over(store: Store, build: Build) -> None:
    assert store.fresh("sft", PRINT).name == f"sft-{PRINT}"
    first = build(store.artifact("sft", PRINT))
    second = store.fresh("sft", PRINT)
    assert second.name == f"sft-{PRINT}.2"
    assert second.identity == f"{PRINT}.2"
    before = {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()}
    lock = store.acquire(second)
    assert store.artifact("sft", PRINT) == first  # not complete yet
    assert lock is not None
    lock.release("failed", "interrupted")
    assert store.fresh("sft", PRINT) == second  # the unfinished one is taken up again
    build(second)
    assert store.artifact("sft", PRINT) == second
    assert store.fresh("sft", PRINT).name == f"sft-{PRINT}.3"
    assert {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()} == before


def test_ten_comes_after_nine(store: Store, build: Build) -> None:
    for _ in range(11):
        build(store.fresh("sft", PRINT))
    assert store.artifact("sft", PRINT).identity == f"{PRINT}.11"
    assert store.artifact("sf", PRINT).name == f"sf-{PRINT}"


def test_what_cannot_be_resumed_from_is_cleared(store: Store) -> None:
    artifact = store.artifact("sft", PRINT)
    lock = store.acquire(artifact)
    assert lock is not None
    for folder in (artifact.model, artifact.checkpoints / "checkpoint-5", artifact.log):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    artifact.metrics.write_text("{}\n")
    artifact.stage_json.write_text("{}")
    lock.release("failed", "killed")
    assert store.acquire(artifact) is not None
    left = {path.name for path in artifact.path.iterdir() if not path.name.startswith(".")}
    assert left == {"checkpoints", "log", "metrics.jsonl", "status.json"}


def test_checkpoints_of_a_complete_stage_go(store: Store) -> None:
    artifact = store.artifact("sft", PRINT)
    lock = store.acquire(artifact)
    assert lock is not None
    with lock:
        (artifact.checkpoints / "checkpoint-5").mkdir(parents=True)
        store.commit(lock, {"parents": {}})
    assert not artifact.checkpoints.exists()


def test_only_the_holder_commits(store: Store) -> None:
    artifact = store.artifact("sft", PRINT)
    slow = store.acquire(artifact)
    assert slow is not None
    slow.release("failed", "lost its disk for a while")
    fast = store.acquire(artifact)
    with pytest.raises(LostError):
        store.commit(slow, {"parents": {}})
    assert not artifact.is_complete
    assert fast is not None
    store.commit(fast, {"parents": {}})


def test_waiting_ends_when_the_other_is_done(store: Store, build: Build) -> None:
    artifact, holders = store.artifact("sft", PRINT), []
    lock = store.acquire(artifact)
    assert lock is not None
    with pytest.raises(HeldError):
        store.acquire(artifact)

    def finish() -> None:
        time.sleep(0.2)
        artifact.model.mkdir()
        store.commit(lock, {"parents": {}})

    other = threading.Thread(target=finish)
    other.start()
    assert store.acquire(artifact, patience=math.inf, waiting=holders.append) is None
    other.join()
    assert [holder.pid for holder in holders] == [os.getpid()]


def test_damage_is_told_with_a_remedy(store: Store, build: Build) -> None:
    artifact = build(store.artifact("sft", PRINT))
    weights = artifact.model / "model.safetensors"
    check_sizes(artifact)
    check_contents(artifact)
    weights.write_text("Weights")
    check_sizes(artifact)  # the same size: only the full check sees it
    with pytest.raises(ArtifactError, match="model/model.safetensors was changed.*run.fresh"):
        check_contents(artifact)
    weights.write_text("weigh")
    with pytest.raises(ArtifactError, match="model/model.safetensors has 5 bytes, was written with 7"):
        check_sizes(artifact)
    weights.unlink()
    with pytest.raises(ArtifactError, match="model/model.safetensors is missing"):
        check_sizes(artifact)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"manifest": {}}'])
def test_a_damaged_lineage_is_told(store: Store, build: Build, text: str) -> None:
    artifact = build(store.artifact("sft", PRINT))
    artifact.lineage.write_text(text)
    with pytest.raises(ArtifactError, match=rf"sft-{PRINT}: .*run.fresh"):
        read_lineage(artifact)


def test_a_changed_manifest_is_told(store: Store, build: Build) -> None:
    artifact = build(store.artifact("sft", PRINT))
    content = json.loads(artifact.lineage.read_text())
    content["manifest"]["model/config.json"]["size"] = 3
    artifact.lineage.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="lineage.json was changed"):
        check_sizes(artifact)


CHANGES = {"open", "os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir"}


def die_before_change(number: int, root: Path, work: Callable[[], None]) -> bool:
    """Run `work` in a child that is gone before its n-th change below `root`; whether it got to the end."""
    child = os.fork()
    if child == 0:
        left = [number]

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            if event in CHANGES and str(root) in str(arguments[0]):
                if event == "open" and arguments[1] in ("r", "rb"):
                    return
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)

        sys.addaudithook(watch)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_killed_at_any_moment_an_artifact_is_complete_or_not(tmp_path: Path) -> None:
    """Each file operation of lock, build, commit and clean-up is once the first that did not happen."""

    def work(root: Path) -> None:
        store = Store(root)
        artifact = store.artifact("sft", PRINT)
        lock = store.acquire(artifact)
        assert lock is not None
        (artifact.checkpoints / "checkpoint-1").mkdir(parents=True, exist_ok=True)
        artifact.model.mkdir()
        (artifact.model / "model.safetensors").write_text("weights")
        store.commit(lock, {"parents": {}})

    outcomes = []
    for number in range(1000):
        root = tmp_path / str(number)
        finished = die_before_change(number, root, lambda root=root: work(root))  # type: ignore[misc]
        artifact = Store(root).artifact("sft", PRINT)
        outcomes.append(artifact.is_complete)
        if not artifact.is_complete:
            work(root)  # the next run takes over at once and gets to the end
        check_contents(Store(root).artifact("sft", PRINT))
        if finished:
            break
    assert len(outcomes) > 15
    assert outcomes == sorted(outcomes)  # never complete first and then not
    assert {True, False} == set(outcomes)


def test_a_prune_in_the_middle_of_a_wait_does_not_hurt(store: Store) -> None:
    artifact = store.artifact("sft", PRINT)
    acquire(artifact.path).release("failed", "x")
    artifact.path.rename(artifact.path.with_name(".pruned-1"))
    assert store.acquire(artifact) is not None
