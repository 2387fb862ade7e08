"""PPO with adapters: the base stays what it was, and is held once."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from align.artifacts.metrics import read_metrics
from align.data.spec import DataSpec
from align.models.spec import AdapterSpec
from align.stages import AnyStage
from align.stages.stage import StageIO
from tests.stages.conftest import Place
from tests.stages.test_ppo import prompt_data, stage_of

__all__ = ["prompt_data"]


def test_an_adapter_learns_and_leaves_its_base_alone(
    place: Place, tiny_model: Path, prompt_data: DataSpec
) -> None:
    io = place("ppo")
    stage = stage_of(prompt_data, tiny_model, adapter={"rank": 16, "alpha": 64})
    assert stage.adapter == AdapterSpec(rank=16, alpha=64)
    stage.run(io)

    rows = [row for row in read_metrics(io.output.metrics) if row["split"] == "train"]
    assert abs(rows[0]["objective/kl"]) <= 1e-5
    assert rows[-1]["objective/score"] > rows[0]["objective/score"] + rows[0]["objective/score_deviation"]
    base = load_file(tiny_model / "model.safetensors")
    merged = load_file(io.output.model / "model.safetensors")
    changed = {name for name in base if not torch.equal(base[name], merged[name])}
    assert changed and all("proj" in name for name in changed)
    assert (io.output.adapter / "adapter_config.json").exists()

    script = io.output.path / "ask.py"
    answered = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    logged = script.read_text(encoding="utf-8").splitlines()[-1].removeprefix("# When it was saved: ")
    assert answered == f"{ast.literal_eval(logged)}\n"


def judged_by(io: StageIO, model: Path, data: DataSpec, adapter: dict[str, Any]) -> dict[str, Any]:
    """Train a reward model as an adapter; how PPO is told to be judged by it."""
    pairs = TypeAdapter(DataSpec).dump_python(data, mode="json")
    given = {"kind": "reward", "model": {"path": str(model)}, "data": pairs, "adapter": adapter}
    given |= {
        "precision": "fp32",
        "batch_size": 8,
        "seed": 0,
        "trainer": {"max_steps": 20, "learning_rate": 5e-3},
    }
    TypeAdapter(AnyStage).validate_python(given).run(io)
    learned = {"_target_": "align.rewards.learned.LearnedReward", "model": str(io.output.model)}
    return {
        "value": {"path": str(io.output.model)},
        "rewards": {"judge": {"source": learned}},
        "updates": 4,
    }


def test_policy_value_and_reward_model_share_one_base(
    place: Place,
    tiny_model: Path,
    prompt_data: DataSpec,
    pair_data: DataSpec,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With adapters, and a reward model that is an adapter over the policy's base, nothing is held twice."""
    judge = place("judge")
    changes = judged_by(judge, tiny_model, pair_data, {"rank": 4})
    scores = {}
    for name, adapter in (("together", {"rank": 4}), ("apart", None)):
        io = place(name)
        stage_of(prompt_data, tiny_model, **changes, adapter=adapter, seed=0).run(io)
        rows = [row for row in read_metrics(io.output.metrics) if row["split"] == "train"]
        scores[name] = [row["objective/score"] for row in rows]
        said = capsys.readouterr().out
        assert ("value model share one base" in said) == ("reward model share one base" in said)
        assert ("share one base" in said) == (adapter is not None)

    assert scores["together"][0] == pytest.approx(scores["apart"][0], abs=1e-4), (
        "the first answers are the same"
    )
    assert scores["together"][-1] > scores["together"][0]
    value = AutoModelForSequenceClassification.from_pretrained(place("together").output.path / "value")
    start = AutoModelForSequenceClassification.from_pretrained(judge.output.model)
    moved = (value.score.weight - start.score.weight).abs().max()
    assert 0 < moved < 0.5, "the value model started as the reward model"
    base = load_file(tiny_model / "model.safetensors")
    now = load_file(place("together").output.model / "model.safetensors")
    assert {name for name in base if not torch.equal(base[name], now[name])} <= {
        name for name in base if "proj" in name
    }


def test_they_share_a_base_in_4_bits_too(
    place: Place,
    tiny_model: Path,
    prompt_data: DataSpec,
    pair_data: DataSpec,
    capsys: pytest.CaptureFixture[str],
) -> None:
    qlora = {"rank": 4, "quantization": "nf4"}
    io = place("ppo")
    changes = judged_by(place("judge"), tiny_model, pair_data, qlora)
    stage = stage_of(prompt_data, tiny_model, **changes, adapter=qlora, seed=0)
    assert stage.check(io) == []
    stage.run(io)

    said = capsys.readouterr().out
    assert "value model share one base" in said and "reward model share one base" in said
    rows = [row for row in read_metrics(io.output.metrics) if row["split"] == "train"]
    assert abs(rows[0]["objective/kl"]) <= 1e-5, "the reference is the policy without its adapter"
    assert rows[-1]["objective/score"] > rows[0]["objective/score"]
    for folder in (io.output.model, io.output.path / "value"):
        assert {weight.dtype for weight in load_file(folder / "model.safetensors").values()} == {
            torch.float32
        }
