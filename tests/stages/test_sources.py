"""Several sources: their held-out rows are measured by themselves, and tokens of large ones lie on disk."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from align.artifacts.metrics import final_values
from align.config.plugin import PluginSpec
from align.data import reading
from align.data.records import Conversation
from align.data.spec import DataSpec
from align.generation.decoding import DecodingSpec
from align.models.spec import ModelSpec
from align.ppo.spec import OptimizerSpec, RewardEntry
from align.stages.dpo import Dpo
from align.stages.ppo import Ppo
from align.stages.reward import Reward
from align.stages.sft import Sft
from tests.stages.conftest import Place, written

COMMON: dict[str, Any] = {
    "precision": "fp32",
    "batch_size": 8,
    "seed": 0,
    "trainer": {"max_steps": 2, "learning_rate": 1e-2},
}


def of_two(data: DataSpec) -> DataSpec:
    """Two sources out of one: its first ten rows, and its first fourteen."""
    (source,) = data.sources.values()
    return replace(
        data,
        sources={"few": replace(source, max_rows=10), "many": replace(source, max_rows=14)},
        held_out=0.4,
    )


@pytest.mark.parametrize(
    "kind, field, metrics",
    [
        (Sft, "model", ["policy/loss", "policy/token_accuracy"]),
        (Reward, "model", ["reward_model/loss", "reward_model/accuracy"]),
        (Dpo, "policy", ["policy/loss", "dpo/accuracy"]),
    ],
)
def test_every_source_is_measured_by_itself(
    place: Place,
    tiny_model: Path,
    dialogue_data: DataSpec,
    pair_data: DataSpec,
    kind: Any,
    field: str,
    metrics: list[str],
) -> None:
    io = place("stage")
    data = of_two(dialogue_data if kind is Sft else pair_data)
    kind(data=data, **{field: ModelSpec(path=str(tiny_model), chat_template="plain")}, **COMMON).run(io)
    found = final_values(io.output.metrics)
    told = json.loads(io.output.data.read_text())["loaded"]["sources"]
    rows = {name: told[name]["held_out"] for name in ("few", "many")}
    assert all(rows.values()) and not any("eval_of" in name for name in found)
    whole = {metric: found[f"held_out/{metric}"] for metric in metrics}
    for metric in metrics if kind is not Sft else metrics[:0]:  # one batch each, so means over rows add up
        parts = sum(found[f"held_out/{name}/{metric}"] * rows[name] for name in rows)
        assert parts / sum(rows.values()) == pytest.approx(whole[metric], abs=1e-5)
    for metric in metrics:
        low, high = sorted(found[f"held_out/{name}/{metric}"] for name in rows)
        assert low - 1e-6 <= whole[metric] <= high + 1e-6


def test_one_source_is_not_measured_twice(place: Place, tiny_model: Path, dialogue_data: DataSpec) -> None:
    io = place("stage")
    Sft(data=replace(dialogue_data, held_out=4), model=ModelSpec(path=str(tiny_model)), **COMMON).run(io)
    assert not any(name.startswith("held_out/dialogues") for name in final_values(io.output.metrics))


@pytest.mark.parametrize("kind, field", [(Sft, "model"), (Reward, "model")])
def test_rows_and_tokens_on_disk_train_the_same_weights(
    place: Place,
    tiny_model: Path,
    dialogue_data: DataSpec,
    pair_data: DataSpec,
    kind: Any,
    field: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = of_two(dialogue_data if kind is Sft else pair_data)
    stage = kind(data=data, **{field: ModelSpec(path=str(tiny_model), chat_template="plain")}, **COMMON)
    here, there = place("here"), place("there")
    stage.run(here)
    monkeypatch.setattr(reading, "LARGE", 0)
    stage.run(there)
    tokens = list((there.outputs / "tokens").iterdir())
    assert len(tokens) == 2 and all((folder / "tokens.arrow").exists() for folder in tokens)
    weights = [load_file(io.output.model / "model.safetensors") for io in (here, there)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert here.output.data.read_text() == there.output.data.read_text()


def answering(prompts: DataSpec, model: Path) -> Ppo:
    """A short PPO that is paid for length."""
    return Ppo(
        policy=ModelSpec(path=str(model)),
        data=prompts,
        rewards={"long": RewardEntry(source=PluginSpec("align.rewards.rules.LengthReward", {"free": 2}))},
        updates=2,
        decoding=DecodingSpec(temperature=1.0, max_new_tokens=4),
        policy_optimizer=OptimizerSpec(learning_rate=1e-3),
        value_optimizer=OptimizerSpec(learning_rate=1e-3),
        precision="fp32",
        batch_size=16,
        seed=0,
    )


def test_prompts_of_every_source_are_scored_by_themselves(
    place: Place,
    tiny_model: Path,
    conversations: list[Conversation],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In memory and on disk alike; a single source is told once."""
    asked = [{"prompt": row.messages[0].content} for row in conversations]
    prompt_data = written(tmp_path / "prompts.jsonl", asked, "prompts")
    here, there, single = place("here"), place("there"), place("single")
    mixed = replace(of_two(prompt_data), held_out=0.0)
    answering(mixed, tiny_model).run(here)
    answering(prompt_data, tiny_model).run(single)
    monkeypatch.setattr(reading, "LARGE", 0)
    answering(mixed, tiny_model).run(there)
    found, again, alone = (final_values(io.output.metrics) for io in (here, there, single))
    names = [f"source/{name}/score" for name in ("few", "many")]
    low, high = sorted(found[name] for name in names)
    assert low <= found["objective/score"] <= high
    assert not any(name.startswith("source/") for name in alone)
    for name in (*names, "objective/score", "policy/loss"):
        assert again[name] == found[name]
