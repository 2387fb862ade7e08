"""SFT, reward model and DPO, full and LoRA, under ZeRO 0 to 3 on two processes: what one process trains.

Everything is done in one launch, see `tests.stages.sharded`; the whole matrix runs in `make verify`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from align.artifacts.metrics import read_metrics
from align.data.spec import DataSpec
from tests.stages.sharded import Case, launch, perform
from tests.stages.test_ppo import LONG, prompt_data

__all__ = ["prompt_data"]

# What is trained, how its model is shared, whether in full, and in which precision.
Key = tuple[str, str, str, str]
Make = Callable[[Key], Case]

KINDS, ADAPTERS = ("sft", "reward", "dpo"), ("full", "lora")
FP32: list[Key] = [
    (kind, f"zero{stage}", adapter, "fp32") for kind in KINDS for stage in range(4) for adapter in ADAPTERS
]
# Stage 0 is left out: DeepSpeed's optimiser for it takes a step of its own when it is made.
BF16: list[Key] = [
    (kind, f"zero{stage}", adapter, "bf16") for kind in KINDS for stage in range(1, 4) for adapter in ADAPTERS
]
FEW: list[Key] = [
    ("sft", "zero3", "full", "fp32"),
    ("reward", "zero3", "lora", "fp32"),
    ("dpo", "zero3", "full", "fp32"),
    ("sft", "zero0", "lora", "fp32"),
    ("reward", "zero1", "full", "fp32"),
    ("dpo", "zero2", "lora", "fp32"),
    *[key for key in BF16 if key[0] == "dpo" and key[2] == "lora"],
]
OFFLOADED: list[Key] = [("sft", "zero2_offload", "lora", "fp32"), ("dpo", "zero3_offload", "full", "fp32")]
# PPO takes Adam's steps, fused ones, wherever the optimiser's states lie.
PPO: list[Key] = [("ppo", section, "full", "fp32") for section in ("zero3_offload", "zero2_offload", "zero3")]
PPO += [("ppo", "zero3", "lora", "fp32"), ("ppo", "zero2", "lora", "fp32")]
BY_LAYER = "zero3 by layer"  # weights are fetched layer by layer to generate and read
PPO += [("ppo", BY_LAYER, "full", "fp32"), ("ppo", BY_LAYER, "lora", "fp32")]
LOSS = {"sft": "policy/loss", "reward": "reward_model/loss", "dpo": "policy/loss", "ppo": "value/loss"}
LOADERS: dict[str, Any] = {
    "sft": AutoModelForCausalLM,
    "reward": AutoModelForSequenceClassification,
    "dpo": AutoModelForCausalLM,
    "ppo": AutoModelForCausalLM,
}
# SGD: Adam divides by the size of the gradient, and so makes a large difference of the smallest one.
RATES = {"fp32": 0.05, "bf16": 0.003}
# The sum of an answer's log-probabilities is good to 0.1 nats in bf16, and the loss to that times beta.
BETAS = {"fp32": 0.1, "bf16": 0.01}


@pytest.fixture
def make(tiny_model: Path, dialogue_data: DataSpec, pair_data: DataSpec, prompt_data: DataSpec) -> Make:
    def case(key: Key) -> Case:
        kind, section, adapter, precision = key
        if kind == "ppo":
            given = ppo(tiny_model, prompt_data) | {"adapter": None if adapter == "full" else {"rank": 4}}
            resources = {"ds3_gather_for_generation": section != BY_LAYER}
            shared = None if section == "alone" else section.split()[0]
            return Case("-".join(key), given, shared, resources=resources)
        data = replace(dialogue_data if kind == "sft" else pair_data, held_out=4)
        given = {
            "kind": kind,
            "policy" if kind == "dpo" else "model": {"path": str(tiny_model)},
            "data": TypeAdapter(DataSpec).dump_python(data, mode="json"),
            "adapter": None if adapter == "full" else {"rank": 4, "alpha": 16},
            "precision": precision,
            "batch_size": 8,
            "seed": 0,
            "trainer": {
                "max_steps": 3,
                "learning_rate": RATES[precision],
                "optim": "sgd",
                "lr_scheduler_type": "constant",
                **({"beta": BETAS[precision]} if kind == "dpo" else {}),
            },
        }
        return Case("-".join(key), given, None if section == "alone" else section)

    return case


def ppo(model: Path, data: DataSpec) -> dict[str, Any]:
    """A PPO stage of two updates."""
    rate = {"learning_rate": 1e-3, "final": 1.0}
    return {
        "kind": "ppo",
        "policy": {"path": str(model)},
        "data": TypeAdapter(DataSpec).dump_python(data, mode="json"),
        "rewards": {"long": LONG},
        "precision": "fp32",
        "batch_size": 8,
        "epochs": 1,
        "minibatches": 1,
        "updates": 2,
        "seed": 0,
        "decoding": {"temperature": 1, "max_new_tokens": 8},
        "shaping": {"missing_eos": {"mode": "none"}},
        "policy_optimizer": rate,
        "value_optimizer": rate,
    }


def losses(output: Path, kind: str) -> list[tuple[str, int, float]]:
    rows = read_metrics(output / "metrics.jsonl")
    return [(row["split"], row["step"], row[LOSS[kind]]) for row in rows if LOSS[kind] in row]


def norms(output: Path) -> list[float]:
    found = [row.get("trainer/grad_norm") for row in read_metrics(output / "metrics.jsonl")]
    return [norm for norm in found if norm is not None]


def numbers(output: Path, kind: str) -> list[float]:
    return [loss for _, _, loss in losses(output, kind)]


def apart(one: Path, other: Path) -> float:
    """The largest difference between two files of weights, which must have the same names and shapes."""
    first, second = load_file(one), load_file(other)
    assert {name: weight.shape for name, weight in first.items()} == {
        name: weight.shape for name, weight in second.items()
    }
    assert {weight.dtype for weight in second.values()} == {torch.float32}
    return max((first[name] - second[name]).abs().max().item() for name in first)


def wrong(key: Key, outputs: Path) -> Iterator[str]:
    """How what a case built in fp32 differs from what one process builds."""
    kind, _, adapter, _ = key
    found, expected = outputs / "-".join(key), outputs / f"{kind}-alone-{adapter}-fp32"
    if [row[:2] for row in losses(found, kind)] != [row[:2] for row in losses(expected, kind)]:
        yield "other steps"
    elif numbers(found, kind) != pytest.approx(numbers(expected, kind), rel=1e-5):
        yield f"losses {losses(found, kind)} instead of {losses(expected, kind)}"
    if kind != "ppo" and len(norms(found)) != 3 or norms(found) != pytest.approx(norms(expected), rel=1e-4):
        yield f"gradient norms {norms(found)} instead of {norms(expected)}"
    if (far := apart(expected / "model/model.safetensors", found / "model/model.safetensors")) > 1e-5:
        yield f"weights are {far} apart"
    if adapter == "lora":
        file = "adapter/adapter_model.safetensors"
        if (far := apart(expected / file, found / file)) > 1e-5:
            yield f"adapters are {far} apart"
        if not all(weight.any() for weight in load_file(found / file).values()):
            yield "the adapter did not learn"
    _, loading = LOADERS[kind].from_pretrained(found / "model", output_loading_info=True)
    yield from (f"{what} {names}" for what, names in loading.items() if names)


def wrong_in_bf16(keys: Sequence[Key], outputs: Path) -> Iterator[str]:
    """How losses in bf16 differ between the stages, and what is not kept in fp32."""
    for kind, section, adapter, _ in keys:
        found, first = (outputs / f"{kind}-{name}-{adapter}-bf16" for name in (section, "zero1"))
        steps, expected = (
            [loss for split, _, loss in losses(path, kind) if split == "train"] for path in (found, first)
        )
        if steps != pytest.approx(expected, rel=1e-3):
            yield f"{found.name}: losses {steps} instead of {expected}"
        start = outputs / f"{kind}-alone-{adapter}-fp32" / "model/model.safetensors"
        # Another precision and another learning rate: the same weights, and near.
        if (far := apart(start, found / "model/model.safetensors")) > 0.1:
            yield f"{found.name}: weights are {far} apart"


def refuse_differences(keys: Sequence[Key], make: Make, outputs: Path) -> None:
    for kind, adapter in sorted({(key[0], key[2]) for key in keys}):
        alone = make((kind, "alone", adapter, "fp32"))
        assert perform(alone, outputs, 1) is None
    said = launch([make(key) for key in keys], outputs)
    assert not any(said.values()), said
    in_fp32 = [key for key in keys if key[3] == "fp32"]
    found = [f"{'-'.join(key)}: {line}" for key in in_fp32 for line in wrong(key, outputs)]
    found += wrong_in_bf16([key for key in keys if key[3] == "bf16"], outputs)
    assert not found, "\n".join(found)


def test_some_of_every_stage_train_what_one_process_trains(make: Make, tmp_path: Path) -> None:
    refuse_differences([*FEW, *OFFLOADED, PPO[0], PPO[-2]], make, tmp_path)


@pytest.mark.slow
def test_every_stage_trains_what_one_process_trains(make: Make, tmp_path: Path) -> None:
    refuse_differences([*FP32, *BF16, *OFFLOADED, *PPO], make, tmp_path)
