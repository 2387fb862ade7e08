"""A training stage says beforehand what would stop it, by the name of the field to change."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from align.data.spec import DataSpec
from align.models.spec import AdapterSpec, ArchitectureSpec, ModelSpec, TokenizerSpec
from align.stages.dpo import Dpo
from align.stages.pretrain import Pretrain
from align.stages.sft import Sft
from align.training.spec import SelectionSpec
from tests.stages.conftest import Place

COMMON: dict[str, Any] = {"precision": "fp32", "batch_size": 16, "seed": 0}


@pytest.fixture
def sft(tiny_model: Path, dialogue_data: DataSpec) -> Sft:
    return Sft(model=ModelSpec(path=str(tiny_model)), data=replace(dialogue_data, held_out=4), **COMMON)


def test_a_stage_that_can_run_has_no_problems(sft: Sft, place: Place) -> None:
    assert sft.check(place("sft")) == []


@pytest.mark.parametrize(
    "changes, resources, expected",
    [
        ({"batch_size": 6}, {"micro_batch": 4}, "batch_size: a device's share of 6 rows does not divide by"),
        (
            {"selection": SelectionSpec(eval_every=5, metric="policy/los", mode="min")},
            {},
            "selection.metric: no metric 'policy/los'; choose policy/loss",
        ),
        (
            {"trainer": {"max_length": 1024, "lr_scheduler_type": "cosin"}},
            {},
            "trainer: cosin is not a valid SchedulerType",
        ),
        ({}, {"liger": True}, "resources.sft.liger: pip install liger-kernel"),
        ({"model": ModelSpec(path="no/where")}, {}, "model.path: cannot load a tokenizer from no/where"),
    ],
)
def test_what_cannot_run_is_named(
    sft: Sft, place: Place, changes: dict[str, Any], resources: dict[str, Any], expected: str
) -> None:
    found = replace(sft, **changes).check(place("sft", **resources))

    assert len(found) == 1
    assert found[0].startswith(expected)


def test_a_tokenizer_without_template_is_named(
    sft: Sft, place: Place, tiny_model: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in tiny_model.glob("*.json"):
        (bare / file.name).write_bytes(file.read_bytes())

    assert replace(sft, model=ModelSpec(path=str(bare))).check(place("sft")) == [
        f"model.chat_template: the tokenizer of {bare} has none; choose chatml, llama3, gemma or plain"
    ]
    assert replace(sft, model=ModelSpec(path=str(bare), chat_template="chatml")).check(place("sft")) == []


def test_control_tokens_in_the_text_are_named_with_their_line(sft: Sft, place: Place, tmp_path: Path) -> None:
    file = tmp_path / "dialogues.jsonl"
    with file.open("a") as stream:
        turns = [{"role": "user", "content": "hi<|im_end|>"}, {"role": "assistant", "content": "no"}]
        stream.write(json.dumps({"messages": turns}) + "\n")

    found = replace(sft, data=replace(sft.data, held_out=0)).check(place("sft"))

    assert len(found) == 1 and found[0].startswith(f"data: {file}:17: the text holds '<|im_end|>'")


def test_a_model_still_to_be_built_is_not_looked_at(
    pair_data: DataSpec, place: Place, tmp_path: Path
) -> None:
    stage = Dpo(policy=ModelSpec(path="stage:sft"), data=pair_data, **COMMON)
    assert stage.check(place("dpo", inputs={"sft": tmp_path / "sft"})) == []


def test_a_vocabulary_too_small_is_named(text_data: DataSpec, place: Place) -> None:
    stage = Pretrain(
        data=text_data, tokenizer=TokenizerSpec(vocab_size=100), architecture=ArchitectureSpec(), **COMMON
    )
    assert stage.check(place("pretrain")) == [
        "tokenizer: vocab_size 100 is below 265 bytes and control tokens"
    ]


@pytest.mark.parametrize(
    "trainer, message",
    [
        (
            {"loss_type": ["sigmoid", "robust"], "label_smoothing": 0.1},
            "something else to sigmoid than to robust",
        ),
        ({"loss_type": ["exo_pair"]}, "exo_pair needs trainer.label_smoothing"),
        ({"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0]}, "one weight per entry"),
        ({"sync_ref_model": True}, "unset trainer.sync_ref_model"),
    ],
)
def test_dpo_options_that_contradict_each_other_are_refused(
    pair_data: DataSpec, trainer: dict[str, Any], message: str
) -> None:
    adapter = AdapterSpec() if "sync_ref_model" in trainer else None
    with pytest.raises(ValueError, match=message):
        Dpo(policy=ModelSpec(path="x"), data=pair_data, trainer=trainer, adapter=adapter, **COMMON)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"block_length": 2048}, "block_length 2048 is above architecture.max_positions 1024"),
        ({"architecture": {"hidden_size": 100, "heads": 3}}, "hidden_size 100 does not divide by 3 heads"),
        (
            {"architecture": {"heads": 4, "key_value_heads": 3}},
            "heads 4 does not divide by 3 key_value_heads",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    text_data: DataSpec, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Pretrain(
            data=text_data,
            tokenizer=TokenizerSpec(),
            architecture=ArchitectureSpec(**changes.pop("architecture", {})),
            **COMMON,
            **changes,
        )
