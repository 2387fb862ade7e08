"""A rank that dies or freezes ends its stage, which names it; no process is left behind."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from align.artifacts.checkpoint import newest_sound
from tests.pipeline.processes import PATIENCE, descendants, has_ended, rank_of, wait_until

LONG = ("run.only=sft", "run.fresh=[sft]", "hardware=2xcpu", "limits.steps=null", "checkpoints.every_steps=1",
        "stages.pretrain.trainer.max_steps=4", "stages.sft.trainer.max_steps=5000",
        "launcher.timeout_minutes=0.25")  # fmt: skip


@pytest.fixture
def sft(toy, outputs: Path):
    """An SFT stage on two ranks that has saved itself at least once: process, ranks, artifact."""
    known = set((outputs / "artifacts").glob("sft-*"))
    running = toy.start(outputs, *LONG)

    def artifact() -> Path | None:
        fresh = set((outputs / "artifacts").glob("sft-*")) - known
        return next((path for path in fresh if newest_sound(path / "checkpoints")), None)

    wait_until(lambda: artifact() or running.poll() is not None, "checkpoint")
    assert running.poll() is None, running.communicate()
    ranks = {rank: pid for pid in descendants(running.pid) if (rank := rank_of(pid)) is not None}
    assert sorted(ranks) == [0, 1]
    yield running, ranks, artifact()
    running.kill()


def ended(running: "subprocess.Popen[str]", ranks: dict[int, int]) -> tuple[int, str]:
    """The run's exit code and what it told; nothing of it is left."""
    _, errors = running.communicate(timeout=PATIENCE)
    wait_until(lambda: all(map(has_ended, ranks.values())), "end of all ranks")
    assert "Traceback (most recent call last)" not in errors.split("\n  | ")[0]
    return running.returncode, errors


def test_a_killed_rank_is_named_with_its_last_lines(sft) -> None:
    running, ranks, artifact = sft
    os.kill(ranks[1], signal.SIGKILL)
    code, errors = ended(running, ranks)
    assert code == 1
    assert errors.startswith("sft failed: rank 1 was killed (signal 9), most often because")
    assert f"log: {artifact / 'log' / 'rank-1.txt'}" in errors
    assert json.loads((artifact / "status.json").read_text())["state"] == "failed"


def test_a_frozen_rank_is_named_within_the_timeout(sft) -> None:
    running, ranks, artifact = sft
    os.kill(ranks[1], signal.SIGSTOP)
    frozen = time.monotonic()
    code, errors = ended(running, ranks)
    took = time.monotonic() - frozen
    assert code == 1 and 14 < took < 15 + 15, (code, took)
    assert errors.startswith("sft failed: rank 1 no longer answered within launcher.timeout_minutes; ")


def test_ranks_that_are_asked_to_stop_save_together(toy, outputs: Path, sft) -> None:
    running, ranks, artifact = sft
    for process in (*ranks.values(), running.pid):
        os.kill(process, signal.SIGTERM)
    code, errors = ended(running, ranks)
    told = re.match(r"stopped by SIGTERM: sft saved at step (\d+)\n", errors)
    assert code == 75 and told is not None, errors
    newest = newest_sound(artifact / "checkpoints")
    assert newest is not None and newest.name == f"checkpoint-{told[1]}"
