"""Trackers get what metrics.jsonl has, and leave their files below the outputs."""

import re
import sqlite3
from pathlib import Path

import pytest

from align.artifacts.metrics import read_metrics
from tests.pipeline.conftest import Toy


@pytest.mark.parametrize("stage", ["pretrain", "ppo"])
def test_trackio_has_every_step_of_trainers_and_of_ppo(toy: Toy, outputs: Path, stage: str) -> None:
    pytest.importorskip("trackio", reason="trackio is not installed")
    done = toy.run(
        outputs,
        "pipeline=chain",
        f"run.only={stage}",
        f"run.fresh=[{stage}]",
        "run.name=tracked",
        "tracking=trackio",
    )
    assert done.returncode == 0, done.stderr
    rows = [
        row for row in read_metrics(outputs / "runs" / "tracked" / stage / "metrics.jsonl") if row["step"]
    ]
    (database,) = (outputs / "tracking").glob("*.db")
    with sqlite3.connect(database) as opened:
        (steps,) = opened.execute("select count(distinct step) from metrics").fetchone()
    assert steps >= len({row["step"] for row in rows if row["split"] == "train"}) > 0


def test_wandb_has_a_run_of_its_own_for_every_stage_of_a_worker(
    toy: Toy, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    words = ("run.fresh=[sft,reward,ppo]", "run.name=tracked", "tracking=wandb")
    done = toy.run(outputs, "pipeline=chain", *words)
    assert done.returncode == 0, done.stderr
    told = [path.read_bytes() for path in sorted((outputs / "tracking" / "wandb").glob("offline-*/*.wandb"))]
    trained = [re.findall(rb"output_dir.{0,99}?artifacts/([a-z]+)-", run, re.DOTALL) for run in told]
    # DPO follows a fresh SFT; PPO has no Trainer that tells its folder.
    assert trained == [[b"sft"], [b"dpo"], [b"reward"], []]
    assert [b"policy/approx_kl" in run for run in told] == [False, False, False, True]


def test_a_tracker_that_is_missing_is_told_before_anything_runs(toy: Toy, tmp_path: Path) -> None:
    done = toy.run(tmp_path / "outputs", "tracking.trackers=[swanlab]")
    assert done.returncode == 2
    assert done.stderr.strip() == "tracking.trackers: swanlab is not installed; pip install swanlab"
    assert not (tmp_path / "outputs" / "artifacts").exists()
