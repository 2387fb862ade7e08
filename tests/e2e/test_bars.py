"""What the quickstart promises, at full size on three seeds: a quarter of an hour on two quiet cores."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from align.artifacts.store import ArtifactDir
from align.evaluation.pool import pooled_rows
from align.evaluation.rows import Row

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    outputs = tmp_path_factory.mktemp("bars")
    command = [sys.executable, "scripts/pipeline.py", "-m", "experiment=quickstart", "seed=0,1,2"]
    done = subprocess.run([*command, f"paths.outputs={outputs}"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return sorted((outputs / "runs").glob("quickstart-*"))


@pytest.fixture(scope="module")
def pooled(runs: list[Path]) -> dict[tuple[str, str, str], Row]:
    rows = pooled_rows([ArtifactDir(run / "evaluate") for run in runs])
    return {(row.checkpoint, row.suite, row.metric): row for row in rows}


def test_every_stage_makes_the_assistant_better_on_every_seed(runs: list[Path]) -> None:
    assert len(runs) == 3
    for run in runs:
        rows = json.loads((run / "evaluate" / "evaluation.json").read_text(encoding="utf-8"))["rows"]
        gold = {
            row["checkpoint"]: row for row in rows if (row["suite"], row["metric"]) == ("held_out", "gold")
        }
        assert all(row["n"] >= 400 for row in gold.values())
        assert gold["base"]["high"] < gold["sft"]["low"]
        assert gold["sft"]["high"] < min(gold["dpo"]["low"], gold["ppo"]["low"])


def test_over_three_seeds_each_stage_adds_what_is_promised(pooled: dict[tuple[str, str, str], Row]) -> None:
    base, sft, dpo, ppo = (
        pooled[checkpoint, "held_out", "gold"].value for checkpoint in ("base", "sft", "dpo", "ppo")
    )
    assert sft >= base + 0.6
    assert dpo >= sft + 0.4
    assert ppo >= sft + 1.0
    assert pooled["sft", "held_out", "gold/win_rate_over_base"].value >= 0.75
    assert pooled["dpo", "held_out", "gold/win_rate_over_sft"].value >= 0.60


def test_ppo_beats_dpo(pooled: dict[tuple[str, str, str], Row]) -> None:
    over_dpo = pooled["ppo", "held_out", "gold/win_rate_over_dpo"]
    assert over_dpo.value >= 0.52 and over_dpo.low is not None and over_dpo.low > 0.5


def test_the_reward_model_agrees_with_the_annotators(pooled: dict[tuple[str, str, str], Row]) -> None:
    assert pooled["reward", "held_out_pairs", "accuracy"].value >= 0.80
