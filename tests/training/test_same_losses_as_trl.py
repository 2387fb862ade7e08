"""With the same rows in the same order, every step's loss is TRL's: what is faster is not something else.

TRL gets the raw rows in the planned order and renders, tokenises, masks and scores them itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, Trainer
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

from align.data.records import Conversation, Message, PreferencePair
from align.models.adapter import lora_config
from align.models.causal import load_policy, load_reference
from align.models.scalar import load_reward_model
from align.models.spec import AdapterSpec, ModelSpec
from align.training.batches import batch_order
from align.training.tokenise import tokenise_conversations, tokenise_pairs
from align.training.trainers import PlannedDPOTrainer, PlannedRewardTrainer, PlannedSFTTrainer
from tests.training.conftest import Settings

SPLITS = pytest.mark.parametrize("micro, accumulation", [(4, 1), (2, 2)])
ADAPTERS = pytest.mark.parametrize("adapter", [None, AdapterSpec(rank=4, alpha=8)], ids=["full", "lora"])


def losses(trainer: Trainer) -> list[float]:
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [message.as_dict() for message in messages]


def planned(lengths: Sequence[int]) -> list[int]:
    return batch_order(lengths, batch_size=4, seed=42, epoch=0).tolist()


def raw_pairs(pairs: Sequence[PreferencePair], order: Sequence[int]) -> Dataset:
    return Dataset.from_list(
        [
            {name: turns(getattr(pairs[row], name)) for name in ("prompt", "chosen", "rejected")}
            for row in order
        ]
    )


def shared(settings: Settings, micro: int, accumulation: int) -> dict[str, Any]:
    return settings(
        per_device_train_batch_size=micro, gradient_accumulation_steps=accumulation, num_train_epochs=1
    )


SEQUENTIAL = {"train_sampling_strategy": "sequential"}


@SPLITS
@ADAPTERS
def test_sft(
    micro: int,
    accumulation: int,
    adapter: AdapterSpec | None,
    tiny_model: Path,
    tokenizer: PreTrainedTokenizerBase,
    conversations: list[Conversation],
    settings: Settings,
) -> None:
    spec = ModelSpec(path=str(tiny_model))
    common = shared(settings, micro, accumulation)
    rows = tokenise_conversations(conversations, tokenizer, None).dataset
    models = [load_policy(spec.path, spec, tokenizer) for _ in range(2)]
    ours = PlannedSFTTrainer(
        model=models[0],
        args=SFTConfig(**common),
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=lora_config(adapter, models[0], tokenizer, "CAUSAL_LM"),
    )
    raw = [
        {"prompt": turns(row.messages[:-1]), "completion": turns(row.messages[-1:])} for row in conversations
    ]
    theirs = SFTTrainer(
        model=models[1],
        args=SFTConfig(**common, **SEQUENTIAL),
        train_dataset=Dataset.from_list([raw[row] for row in planned(rows["length"])]),
        processing_class=tokenizer,
        peft_config=lora_config(adapter, models[1], tokenizer, "CAUSAL_LM"),
    )

    assert losses(ours) == pytest.approx(losses(theirs), abs=1e-4)


@SPLITS
@ADAPTERS
def test_reward(
    micro: int,
    accumulation: int,
    adapter: AdapterSpec | None,
    tiny_model: Path,
    tokenizer: PreTrainedTokenizerBase,
    pairs: list[PreferencePair],
    settings: Settings,
) -> None:
    import torch

    spec = ModelSpec(path=str(tiny_model))
    common = shared(settings, micro, accumulation)
    rows = tokenise_pairs(pairs, tokenizer, None, joined=True).dataset
    trainers = []
    for trainer_class, dataset, extra in (
        (PlannedRewardTrainer, rows, {}),
        (RewardTrainer, raw_pairs(pairs, planned(rows["length"])), SEQUENTIAL),
    ):
        torch.manual_seed(0)  # both draw the same head
        model = load_reward_model(spec.path, spec, tokenizer)
        trainers.append(
            trainer_class(
                model=model,
                args=RewardConfig(**common, **extra),
                train_dataset=dataset,
                processing_class=tokenizer,
                peft_config=lora_config(adapter, model, tokenizer, "SEQ_CLS"),
            )
        )

    assert losses(trainers[0]) == pytest.approx(losses(trainers[1]), abs=1e-4)


@SPLITS
@ADAPTERS
@pytest.mark.parametrize("precompute", [False, True])
def test_dpo(
    micro: int,
    accumulation: int,
    adapter: AdapterSpec | None,
    precompute: bool,
    tiny_model: Path,
    tokenizer: PreTrainedTokenizerBase,
    pairs: list[PreferencePair],
    settings: Settings,
) -> None:
    spec = ModelSpec(path=str(tiny_model))
    common = shared(settings, micro, accumulation)
    rows = tokenise_pairs(pairs, tokenizer, None).dataset
    trainers = []
    for trainer_class, dataset, extra in (
        (PlannedDPOTrainer, rows, {"precompute_ref_log_probs": precompute}),
        (DPOTrainer, raw_pairs(pairs, planned(rows["length"])), SEQUENTIAL),
    ):
        model = load_policy(spec.path, spec, tokenizer)
        trainers.append(
            trainer_class(
                model=model,
                ref_model=None if adapter else load_reference(spec.path, spec, tokenizer),
                args=DPOConfig(**common, **extra),
                train_dataset=dataset,
                processing_class=tokenizer,
                peft_config=lora_config(adapter, model, tokenizer, "CAUSAL_LM"),
            )
        )

    assert losses(trainers[0]) == pytest.approx(losses(trainers[1]), abs=1e-4)
