"""How PPO ends: at its KL cap, or where gradients, scores or weights are not finite; what it leaves."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from transformers import AutoModelForCausalLM

from align.artifacts.checkpoint import newest_sound, step_of
from align.artifacts.metrics import read_metrics
from align.data.spec import DataSpec
from align.ppo import loss
from align.ppo.loop import MOST_SKIPPED, TrainingBroke
from tests.stages.conftest import Place
from tests.stages.test_ppo import prompt_data, stage_of

__all__ = ["prompt_data"]


def broken(function: Callable[..., Any]) -> Callable[..., NamedTuple]:
    """The loss, but not a number."""

    def found(*given: Any, **named: Any) -> NamedTuple:
        right = function(*given, **named)
        return right._replace(per_token=right.per_token * torch.nan)

    return found


@pytest.mark.parametrize(("name", "who"), [("policy_loss", "policy"), ("value_loss", "value model")])
def test_a_model_whose_gradients_stay_broken_ends_the_run_and_the_last_checkpoint_is_good(
    place: Place,
    tiny_model: Path,
    prompt_data: DataSpec,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    who: str,
) -> None:
    """T18: every step is left out and counted; the other model's steps do not hide it."""
    io = place("ppo", settings={"save_every_steps": 1, "keep_checkpoints": 9})
    monkeypatch.setattr(f"align.ppo.update.{name}", broken(getattr(loss, name)))
    with pytest.raises(TrainingBroke, match=f"of the {who} was finite for {MOST_SKIPPED} updates"):
        stage_of(prompt_data, tiny_model, batch_size=8, updates=9).run(io)

    rows = [row for row in read_metrics(io.output.metrics) if row["split"] == "train"]
    sides = ("policy", "value") if who == "policy" else ("value", "policy")
    assert [[row[f"{side}/skipped_steps"] for side in sides] for row in rows] == [[4.0, 0.0]] * 2
    last = newest_sound(io.output.checkpoints)
    assert last is not None and step_of(last) == MOST_SKIPPED - 1
    assert not io.output.model.exists()


def test_training_ends_where_the_kl_is_above_its_cap(
    place: Place, tiny_model: Path, prompt_data: DataSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    """The policy is saved, and its last samples are logged and printed as at the end of any run."""
    io, cap = place("ppo", settings={"log_every_steps": 100}), 0.05
    stage_of(prompt_data, tiny_model, kl={"coefficient": 0.0, "cap": cap}).run(io)

    kls = [row["objective/kl"] for row in read_metrics(io.output.metrics) if row["split"] == "train"]
    assert 1 < len(kls) < 16
    assert kls[-1] > cap and all(kl <= cap for kl in kls[:-1])
    assert (io.output.model / "model.safetensors").exists()
    samples = [json.loads(line) for line in io.output.samples.read_text().splitlines()]
    assert [row["step"] for row in samples] == [1] * 10 + [len(kls)] * 10
    assert repr(samples[-1]["text"]) in capsys.readouterr().out


def test_scores_that_are_not_finite_end_the_run(
    place: Place, tiny_model: Path, prompt_data: DataSpec
) -> None:
    broken = {"broken": {"source": {"_target_": f"{__name__}.Broken"}}}
    io = place("ppo")
    with pytest.raises(TrainingBroke, match="not finite"):
        stage_of(prompt_data, tiny_model, rewards=broken).run(io)
    assert not io.output.model.exists()


def test_a_policy_whose_weights_are_broken_is_named(
    place: Place, tiny_model: Path, prompt_data: DataSpec, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    model = AutoModelForCausalLM.from_pretrained(broken, dtype="float32")
    model.get_input_embeddings().weight.data.fill_(float("nan"))
    model.save_pretrained(broken)
    io = place("ppo")
    with pytest.raises(
        TrainingBroke, match="its weights are broken. This is update 1: lower policy_optimizer"
    ):
        stage_of(prompt_data, tiny_model, policy={"path": str(broken)}).run(io)
    assert not io.output.model.exists()


class Broken:
    """A source that gives no number for most completions."""

    def score(self, prompts: Any, completions: Any) -> list[float]:
        return [float("nan")] * (len(prompts) - 1) + [1.0]
