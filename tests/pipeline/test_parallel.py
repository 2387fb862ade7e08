"""Several processes train what one process trains, and all of them end with the pipeline."""

import json
import time
from pathlib import Path

import pytest

from tests.pipeline.processes import PATIENCE, descendants


def losses(artifact: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (artifact / "metrics.jsonl").read_text().splitlines()]
    return {
        row["step"]: row["policy/loss"] for row in rows if row["split"] == "train" and "policy/loss" in row
    }


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "zero2", "zero3"])
def test_two_ranks_train_what_one_process_trains(toy, outputs: Path, parallel: str) -> None:
    (alone,) = (outputs / "artifacts").glob("sft-*")
    words = ("run.only=sft", "run.fresh=[sft]", "run.name=shared", "hardware=2xcpu", f"parallel={parallel}")
    done = toy.run(outputs, *words)
    assert done.returncode == 0, done.stderr
    shared = (outputs / "runs" / "shared" / "sft").resolve()
    assert shared.name == f"{alone.name}.2"
    assert json.loads((shared / "lineage.json").read_text())["world_size"] == 2
    assert (shared / "log" / "rank-1.txt").exists()
    expected, found = losses(alone), losses(shared)
    assert list(found) == list(expected) and len(found) == 4
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_a_killed_pipeline_takes_all_ranks_along(toy, outputs: Path) -> None:
    words = ("run.only=sft", "run.fresh=[sft]", "hardware=2xcpu", "limits.steps=null",
             "stages.pretrain.trainer.max_steps=4", "stages.sft.trainer.max_steps=2000")  # fmt: skip
    running = toy.start(outputs, *words)
    deadline = time.monotonic() + PATIENCE
    while not list(outputs.glob("artifacts/sft-*/log/rank-1.txt")):
        assert running.poll() is None and time.monotonic() < deadline, running.communicate()
        time.sleep(0.05)
    family = descendants(running.pid)
    assert len(family) >= 3  # torchrun's agent and two ranks
    running.kill()
    running.communicate()
    while any(Path(f"/proc/{pid}").exists() for pid in family):
        assert time.monotonic() < deadline, "a rank outlived the pipeline"
        time.sleep(0.05)
