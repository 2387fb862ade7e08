"""How PPO ends: at its KL cap, or where gradients stay without finite values; what it leaves behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

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
