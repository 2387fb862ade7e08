"""Two processes under ZeRO-2 train what one process trains."""

import json
from pathlib import Path

import pytest


def losses(artifact: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (artifact / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["policy/loss"] for row in rows if row["split"] == "train" and "policy/loss" in row}


@pytest.mark.slow
def test_zero2_on_two_ranks_equals_one_process(toy, outputs: Path) -> None:
    (alone,) = (outputs / "artifacts").glob("sft-*")
    words = ("run.only=sft", "run.fresh=[sft]", "run.name=shared", "hardware=2xcpu", "parallel=zero2")
    done = toy.run(outputs, *words)
    assert done.returncode == 0, done.stderr
    shared = (outputs / "runs" / "shared" / "sft").resolve()
    assert shared.name == f"{alone.name}.2"
    assert json.loads((shared / "lineage.json").read_text())["world_size"] == 2
    assert (shared / "log" / "rank-1.txt").exists()
    expected, found = losses(alone), losses(shared)
    assert list(found) == list(expected) and len(found) == 4
    assert found == pytest.approx(expected, abs=1e-4)
