"""A stage goes on where it was, on another number of processes or under another ZeRO stage, with one flag."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from align.artifacts.metrics import read_metrics
from align.data.spec import DataSpec
from tests.stages.sharded import Case, launch
from tests.stages.test_ppo import prompt_data
from tests.stages.test_sharded import apart, ppo

__all__ = ["prompt_data"]

EVERY = {"save_every_steps": 2, "keep_checkpoints": 9}
CONVERTED = {**EVERY, "universal_checkpoints": True}
LOSS = {"sft": "policy/loss", "ppo": "value/loss"}


def sft(model: Path, data: DataSpec, adapter: dict[str, int] | None = None) -> dict[str, Any]:
    return {
        "kind": "sft",
        "model": {"path": str(model)},
        "data": TypeAdapter(DataSpec).dump_python(data, mode="json"),
        "adapter": adapter,
        "precision": "fp32",
        "batch_size": 8,
        "seed": 0,
        # Two groups of parameters, of which one decays. Such an epsilon keeps Adam from magnifying rounding.
        "trainer": {"max_steps": 4, "learning_rate": 1e-3, "weight_decay": 0.1, "adam_epsilon": 1e-3},
    }


def curve(output: Path, kind: str) -> list[float]:
    rows = read_metrics(output / "metrics.jsonl")
    return [row[LOSS[kind]] for row in rows if row["split"] == "train" and LOSS[kind] in row]


def test_a_stage_resumes_on_other_processes_and_under_another_zero_stage(
    tiny_model: Path, dialogue_data: DataSpec, prompt_data: DataSpec, tmp_path: Path
) -> None:
    full, lora = (sft(tiny_model, dialogue_data, adapter) for adapter in (None, {"rank": 4}))
    # Of a loss that falls the highest is the first: the best step lies before the one that was resumed from.
    chosen = {"eval_every": 1, "metric": "policy/loss", "mode": "max"}
    picky = full | {"data": {**full["data"], "held_out": 4}, "selection": chosen}
    rewarded = ppo(tiny_model, prompt_data) | {"updates": 4}
    rewarded |= {"policy_optimizer": {"learning_rate": 1e-3, "epsilon": 1e-3}}
    written = [
        Case("sft-zero3", full, "zero3", EVERY),
        Case("ppo-zero3", rewarded, "zero3", EVERY),
        Case("sft-lora-zero2", lora, "zero2", EVERY),
        Case("sft-best-zero3", picky, "zero3"),
    ]
    on_two = [
        Case("sft-3-to-2", full, "zero2", CONVERTED, resumes=("sft-zero3", 2)),
        Case("ppo-3-to-2", rewarded, "zero2", CONVERTED, resumes=("ppo-zero3", 2)),
        Case("sft-lora-2-to-3", lora, "zero3", CONVERTED, resumes=("sft-lora-zero2", 2)),
        Case("sft-best-3-to-2", picky, "zero2", CONVERTED, resumes=("sft-best-zero3", 1)),
        Case("sft-refused", full, "zero2", EVERY, resumes=("sft-zero3", 2)),
        Case("ppo-refused", rewarded, "ddp", CONVERTED, resumes=("ppo-zero3", 2)),
    ]
    on_one = [
        replace(case, name=f"{case.name}-on-one", settings=CONVERTED, resumes=(case.name, 2))
        for case in written[:3]
    ]

    said = launch([*written, *on_two], tmp_path) | launch(on_one, tmp_path, devices=1)

    refused = {name: said.pop(name) for name in ("sft-refused", "ppo-refused")}
    assert not any(said.values()), said
    assert refused["sft-refused"] == (
        "ConfigError: checkpoint-2 was written by 2 processes under ZeRO-3, and this run has 2 processes "
        "under ZeRO-2; set checkpoints.universal=true to convert it, or resume with the hardware=... and "
        "parallel=... that wrote it, or start over with run.fresh"
    )
    assert "this run has 2 processes without DeepSpeed; resume with" in str(refused["ppo-refused"])
    for case in (*on_two[:3], *on_one):
        assert case.resumes is not None
        kind, found = case.stage["kind"], curve(tmp_path / case.name, case.stage["kind"])
        expected = curve(tmp_path / case.resumes[0], kind)
        assert found[:2] == expected[:2], "what had been logged stays"
        assert found == pytest.approx(expected, rel=1e-5), case.name
        assert expected[3] != pytest.approx(expected[1], rel=1e-3)
        assert (tmp_path / case.name / "checkpoints/universal-2").exists()
    assert (tmp_path / "sft-best-3-to-2/checkpoints/universal-1").exists()
    assert not (tmp_path / "sft-best-3-to-2/checkpoints/checkpoint-4").exists(), "the first was the best"
    weights = (tmp_path / name / "model/model.safetensors" for name in ("sft-best-zero3", "sft-best-3-to-2"))
    assert apart(*weights) <= 1e-6
