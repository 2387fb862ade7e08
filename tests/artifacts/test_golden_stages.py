"""Golden identities of the shipped stages: they change only on purpose.

When a stage's identity changes, so that all artifacts of its kind are built again, put the new values
below. The digest of TRL's defaults is left out: it follows the installed version.
"""

import hashlib
import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from align.artifacts.fingerprint import identity, references
from align.config.schema import members, tag
from align.stages import AnyStage

HUB = {"id": "org/dataset", "revision": "0" * 40}
DATA = {"sources": {"x": {"hub": HUB, "format": "messages"}}, "held_out": 0.1}
PAIRS = {"sources": {"x": {"hub": HUB, "format": "pairs", "max_rows": 10}}, "held_out": 5}
COMMON = {"precision": "bf16", "batch_size": 32, "seed": 0}

STAGES = {
    "pretrain": {
        "tokenizer": {},
        "architecture": {"layers": 2},
        "data": DATA,
        "trainer": {"max_steps": 10},
        **COMMON,
    },
    "sft": {"model": {"path": "stage:base"}, "data": DATA, "trainer": {"learning_rate": 2e-5}, **COMMON},
    "reward": {"model": {"path": "stage:base"}, "data": PAIRS, "adapter": {"rank": 8}, **COMMON},
    "dpo": {
        "policy": {"path": "stage:sft"},
        "data": PAIRS,
        "trainer": {"beta": 0.3, "loss_type": ["ipo"]},
        **COMMON,
    },
    "ppo": {
        "policy": {"path": "stage:sft"},
        "value": {"path": "stage:reward"},
        "data": DATA,
        "rewards": {
            "length": {"source": {"_target_": "align.rewards.rules.LengthReward", "free": 9}, "weight": 2.0}
        },
        "updates": 3,
        "policy_optimizer": {"learning_rate": 1e-6},
        "value_optimizer": {"learning_rate": 5e-6},
        **COMMON,
    },
    "evaluate": {
        "checkpoints": {"base": {"path": "stage:base"}, "dpo": {"path": "stage:dpo"}},
        "suites": {"q": {"data": DATA, "max_prompts": 7}},
        "precision": "fp32",
        "seed": 0,
    },
}
GOLDEN = {
    "pretrain": ("437d32170a15", "2291436d27ea"),
    "sft": ("403aeca21576", "87cc1c3b803c"),
    "reward": ("e1e9badc8026", "67129dbd414e"),
    "dpo": ("73c55f48682c", "c5589593b4f0"),
    "ppo": ("da9d04575ec1", "4251f12e2acc"),
    "evaluate": ("5899904b9b9e", "76b20e347f43"),
}


def sha(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def bound(kind: str) -> Any:
    return TypeAdapter(AnyStage).validate_python({"kind": kind, **STAGES[kind]})


@pytest.mark.parametrize("kind", STAGES)
def test_identity_and_defaults_are_what_they_were(kind: str) -> None:
    stage = bound(kind)
    parents = {name: f"{number:012x}" for number, name in enumerate(sorted(references(stage)))}
    content = identity(stage, parents)
    content["spec"].pop("trainer_defaults", None)
    known, defaults = GOLDEN[kind]
    assert sha(content) == known, "every artifact of this kind would be built again: is that meant?"
    everything = TypeAdapter(AnyStage).dump_python(stage, mode="json")
    assert sha(everything) == defaults, "a default or a field is new: raise `version` if old results differ"


@pytest.mark.parametrize("kind", ["pretrain", "sft", "reward", "dpo"])
def test_trl_defaults_are_part_of_a_training_stage(kind: str) -> None:
    stage = bound(kind)
    assert len(identity(stage, dict.fromkeys(references(stage), ""))["spec"]["trainer_defaults"]) == 64


def test_every_kind_has_a_golden_identity() -> None:
    assert {tag(cls) for cls in members(AnyStage)} == set(STAGES) == set(GOLDEN)
