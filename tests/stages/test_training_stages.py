"""Each training stage, run as the pipeline runs it, learns sixteen rows by heart."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from align.artifacts.metrics import final_values
from align.data.spec import DataSpec
from align.models.spec import AdapterSpec, ArchitectureSpec, ModelSpec, TokenizerSpec
from align.stages.dpo import Dpo
from align.stages.pretrain import Pretrain
from align.stages.reward import Reward
from align.stages.sft import Sft
from align.stages.stage import StageIO
from tests.stages.conftest import Place

LORA = AdapterSpec(rank=32, alpha=64)
ADAPTERS = pytest.mark.parametrize(
    "adapter", [None, LORA, replace(LORA, quantization="nf4")], ids=["full", "lora", "qlora"]
)
COMMON = {"precision": "fp32", "batch_size": 16, "seed": 0}


def trainer(steps: int, learning_rate: float) -> dict[str, object]:
    return {"max_steps": steps, "learning_rate": learning_rate, "lr_scheduler_type": "cosine"}


def last(io: StageIO, name: str) -> float:
    return final_values(io.output.metrics)[name]


def test_pretrain_overfits(place: Place, text_data: DataSpec) -> None:
    io = place("pretrain")
    stage = Pretrain(
        data=text_data,
        tokenizer=TokenizerSpec(vocab_size=384),
        architecture=ArchitectureSpec(
            hidden_size=64, layers=2, heads=2, intermediate_size=128, max_positions=64
        ),
        block_length=32,
        trainer=trainer(150, 5e-3),
        **COMMON,
    )

    assert stage.check(io) == []
    stage.run(io)

    assert last(io, "policy/loss") < 0.1
    tokenizer = AutoTokenizer.from_pretrained(io.output.model)
    assert tokenizer.chat_template and tokenizer.padding_side == "left"
    assert AutoModelForCausalLM.from_pretrained(io.output.model).config.vocab_size == len(tokenizer)


@ADAPTERS
def test_sft_overfits(
    place: Place, tiny_model: Path, dialogue_data: DataSpec, adapter: AdapterSpec | None
) -> None:
    io = place("sft")
    stage = Sft(
        model=ModelSpec(path=str(tiny_model)),
        data=dialogue_data,
        adapter=adapter,
        trainer=trainer(120, 5e-3),
        **COMMON,
    )

    assert stage.check(io) == []
    stage.run(io)

    assert last(io, "policy/loss") < 0.1
    assert io.output.adapter.exists() == (adapter is not None)
    AutoModelForCausalLM.from_pretrained(io.output.model)
    assert json.loads((io.output.path / "data.json").read_text())["tokenised"]["train"]["rows"] == 16


@ADAPTERS
def test_reward_overfits(
    place: Place, tiny_model: Path, pair_data: DataSpec, adapter: AdapterSpec | None
) -> None:
    io = place("reward")
    stage = Reward(
        model=ModelSpec(path=str(tiny_model)),
        data=pair_data,
        adapter=adapter,
        trainer=trainer(30, 1e-2),
        **COMMON,
    )

    assert stage.check(io) == []
    stage.run(io)

    assert last(io, "reward_model/loss") < 0.1
    assert last(io, "reward_model/accuracy") == 1.0
    assert AutoModelForSequenceClassification.from_pretrained(io.output.model).config.num_labels == 1


@ADAPTERS
def test_dpo_overfits(
    place: Place, tiny_model: Path, pair_data: DataSpec, adapter: AdapterSpec | None
) -> None:
    io = place("dpo", inputs={"sft": tiny_model.parent})
    stage = Dpo(
        policy=ModelSpec(path=str(tiny_model)),
        data=pair_data,
        adapter=adapter,
        trainer=trainer(40, 5e-3) | {"beta": 0.5},
        **COMMON,
    )

    assert stage.check(io) == []
    stage.run(io)

    assert last(io, "policy/loss") < 0.1
    assert last(io, "dpo/accuracy") == 1.0
    assert last(io, "dpo/margin") > 1.0
