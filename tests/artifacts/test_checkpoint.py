"""A checkpoint is resumed from only when every byte is as it was written, and where it was written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from align.artifacts.checkpoint import MANIFEST, damage, newest_sound, rewind_logs, seal, set_aside
from align.artifacts.metrics import MetricsLog, read_metrics
from tests.harm import flip, truncate

FILES = ("model.safetensors", "optimizer.pt", "policy/engine/rank-1.pt")


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """Three sealed checkpoints of one artifact."""
    folder = tmp_path / "sft-0123456789ab" / "checkpoints"
    for step in (9, 10, 11):
        for name in FILES:
            path = folder / f"checkpoint-{step}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{name} after {step} steps".encode())
        seal(folder / f"checkpoint-{step}")
    return folder


def test_the_newest_is_resumed_by_number_and_not_by_name(checkpoints: Path) -> None:
    assert newest_sound(checkpoints) == checkpoints / "checkpoint-11"
    assert newest_sound(checkpoints / "nowhere") is None
    assert set_aside(checkpoints) == [] and set_aside(checkpoints / "nowhere") == []


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("harm", [flip, truncate, Path.unlink])
def test_any_harm_to_any_file_is_seen_and_named(
    checkpoints: Path, harm: Callable[[Path], None], name: str
) -> None:
    newest = checkpoints / "checkpoint-11"
    harm(newest / name)
    assert newest_sound(checkpoints) == checkpoints / "checkpoint-10"
    told = set_aside(checkpoints)
    assert not newest.exists()
    if name == MANIFEST and harm is Path.unlink:  # as one that was cut off while it was written
        assert told == []
        return
    (line,) = told
    assert line.startswith("checkpoint-11 is damaged: ") and (name == MANIFEST or name in line)
    kept = checkpoints / "damaged-checkpoint-11"
    assert line.endswith(f"set aside as {kept}") and kept.is_dir()
    assert newest_sound(checkpoints) == checkpoints / "checkpoint-10"
    assert (checkpoints / "checkpoint-9").is_dir()


def test_a_file_that_was_added_is_damage(checkpoints: Path) -> None:
    (checkpoints / "checkpoint-11" / "rng_state_7.pth").write_bytes(b"a pickle")
    assert damage(checkpoints / "checkpoint-11") == ["rng_state_7.pth was added"]


def test_the_checkpoint_of_another_stage_is_not_resumed(checkpoints: Path, tmp_path: Path) -> None:
    other = tmp_path / "dpo-ba9876543210" / "checkpoints"
    shutil.copytree(checkpoints / "checkpoint-11", other / "checkpoint-12")
    assert newest_sound(other) is None
    (line,) = set_aside(other)
    assert "it was written by sft-0123456789ab" in line


def test_what_was_logged_after_a_checkpoint_is_taken_back(checkpoints: Path) -> None:
    artifact = checkpoints.parent
    rewind_logs(artifact, None)  # nothing logged yet
    log = MetricsLog(artifact / "metrics.jsonl")
    log.append(12, {"loss": 2.0})
    seal(checkpoints / "checkpoint-11")
    log.append(12, {"loss": 1.0}, "held_out")
    (artifact / "samples.jsonl").write_text("said after it\n")
    rewind_logs(artifact, checkpoints / "checkpoint-11")
    assert [row["loss"] for row in read_metrics(log.path)] == [2.0]
    assert (artifact / "samples.jsonl").read_text() == ""
    log.path.write_text("")  # lost with the power
    rewind_logs(artifact, checkpoints / "checkpoint-11")
    assert log.path.read_bytes() == b""
    log.append(1, {"loss": 3.0})
    rewind_logs(artifact, None)
    assert read_metrics(log.path) == []


def test_all_damaged_leaves_none(checkpoints: Path) -> None:
    for step in (9, 10, 11):
        flip(checkpoints / f"checkpoint-{step}" / "optimizer.pt")
    assert len(set_aside(checkpoints)) == 3
    assert newest_sound(checkpoints) is None


def test_a_checkpoint_that_was_cut_off_makes_way(checkpoints: Path) -> None:
    torn = checkpoints / "checkpoint-12"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    assert newest_sound(checkpoints) == checkpoints / "checkpoint-11"
    assert set_aside(checkpoints) == [] and not torn.exists()
