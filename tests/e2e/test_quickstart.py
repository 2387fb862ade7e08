"""The quickstart on a slice: six stages, the evaluation table, and nothing to do the second time."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from align.artifacts.metrics import read_metrics

ROOT = Path(__file__).parents[2]
SLICE = (
    "experiment=quickstart", "limits.steps=3", "limits.rows=64", "logging.every_steps=1",
    "stages.evaluate.decoding.max_new_tokens=8", "stages.evaluate.resamples=50",
)  # fmt: skip
SECTIONS = [
    "overview", "alarms", "pipeline", "suites", "risk-coverage", "tax", "win-rates", "leaderboard",
    "reward-models", "over-optimisation", "length", "answers", "curves", "entropy", "kl", "time", "cost",
    "data", "lineage",
]  # fmt: skip
STAGES = ["pretrain", "sft", "reward", "dpo", "ppo", "evaluate"]


def quickstart(outputs: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "scripts/pipeline.py", *SLICE, f"paths.outputs={outputs}", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The outputs folder and what was printed."""
    outputs = tmp_path_factory.mktemp("quickstart")
    done = quickstart(outputs, "run.name=first", "tracking=tensorboard")
    assert done.returncode == 0, done.stderr
    return outputs, done.stdout


def test_every_stage_ran_and_the_table_is_printed(finished: tuple[Path, str]) -> None:
    outputs, printed = finished
    lines = printed.splitlines()
    assert [line.split()[0] for line in lines if " ran " in line] == STAGES
    assert [Path(line) for line in lines[-2:]] == [
        outputs / "runs" / "first",
        outputs / "runs" / "first" / "report.html",
    ]
    for word in ("held_out", "gold", "base", "sft", "dpo", "ppo", "best_of_4", "reward"):
        assert word in printed
    rows = json.loads((outputs / "runs" / "first" / "evaluate" / "evaluation.json").read_text())["rows"]
    assert {row["checkpoint"] for row in rows} == {"base", "sft", "dpo", "ppo", "best_of_4", "reward"}
    assert {"gold/win_rate_over_sft", "gold/win_rate_over_dpo"} <= {
        row["metric"] for row in rows if row["checkpoint"] == "ppo"
    }
    assert all(set(row) == {"checkpoint", "suite", "metric", "value", "low", "high", "n"} for row in rows)


def test_the_report_has_every_section(finished: tuple[Path, str]) -> None:
    run = finished[0] / "runs" / "first"
    page = (run / "report.html").read_text(encoding="utf-8")
    logs = [path.read_text(errors="replace") for path in run.glob("*/log/rank-0.txt")]
    is_alarmed = any(line.startswith("alarm at ") for log in logs for line in log.splitlines())
    expected = [name for name in SECTIONS if name != "alarms" or is_alarmed]
    assert re.findall(r'<section id="([a-z-]+)"', page) == expected
    assert len(page) < 8e6


def test_ppo_and_dpo_share_their_sft_and_ppo_keeps_its_value_model(finished: tuple[Path, str]) -> None:
    run = finished[0] / "runs" / "first"
    parents = {
        name: json.loads((run / name / "lineage.json").read_text())["parents"] for name in ("dpo", "ppo")
    }
    assert parents["ppo"]["sft"] == parents["dpo"]["sft"]
    assert (run / "ppo" / "value" / "config.json").exists()


def test_what_every_training_stage_logs_reaches_its_tracker(finished: tuple[Path, str]) -> None:
    run = finished[0] / "runs" / "first"
    for stage in STAGES[:-1]:
        (folder,) = {path.parent for path in (run / stage / "log" / "events").rglob("events.out.*")}
        scalars = EventAccumulator(str(folder)).Reload()
        assert len(scalars.Tags()["scalars"]) > 3
    logged = [row for row in read_metrics(run / "ppo" / "metrics.jsonl") if row["split"] == "train"]
    for name in ("objective/score", "objective/kl", "value/explained_variance"):
        found = [(item.step, item.value) for item in scalars.Scalars(name)]
        assert len(found) == 3
        assert found == [(row["step"], pytest.approx(row[name], rel=1e-6)) for row in logged]


def test_four_checkpoints_are_evaluated_on_400_prompts_within_15_seconds(
    finished: tuple[Path, str],
) -> None:
    run = finished[0] / "runs" / "first"
    command = [sys.executable, "scripts/bench_evaluate.py", str(run), "--runs", "1", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["prompts"] >= 400 and set(told["gold"]) == {"base", "sft", "dpo", "ppo"}
    assert told["cpu_seconds"] <= 15  # of one thread: what the clock says depends on what else runs


def test_the_second_time_everything_is_cached_at_once(finished: tuple[Path, str]) -> None:
    outputs, _ = finished
    started = time.monotonic()
    done = quickstart(outputs, "run.name=second")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 5
    record = json.loads((outputs / "runs" / "second" / "run.json").read_text())
    assert {name: stage["status"] for name, stage in record["stages"].items()} == dict.fromkeys(
        STAGES, "cached"
    )


def test_another_beta_runs_dpo_and_the_evaluation_alone(finished: tuple[Path, str]) -> None:
    outputs, _ = finished
    done = quickstart(outputs, "stages.dpo.trainer.beta=0.3", "run.dry_run=true")
    states = {line.split()[0]: "would run" in line for line in done.stdout.splitlines()}
    assert states == {"dpo": True, "evaluate": True} | dict.fromkeys(
        ("pretrain", "sft", "reward", "ppo"), False
    )
