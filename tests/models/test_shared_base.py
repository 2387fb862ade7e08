"""Models that share one base: the same answers as models of their own, and no more memory than a head."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
)

from align.models.shared_base import adapter_over, head_of, scalar_over, scalar_with_adapter, stand_alone

IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])


@pytest.fixture(params=["llama", "gpt2"])
def base(request: pytest.FixtureRequest, tiny_model: Path, tmp_path: Path) -> Path:
    """A folder with a causal model."""
    if request.param == "llama":
        return Path(shutil.copytree(tiny_model, tmp_path / "base" / "model"))
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=60, n_embd=16, n_layer=2, n_head=2, n_positions=32, pad_token_id=0)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "base" / "model")
    return tmp_path / "base" / "model"


@pytest.fixture
def judge(base: Path, tmp_path: Path) -> Path:
    """A folder with a reward model that is an adapter over the base, merged; adapter/ lies beside it."""
    torch.manual_seed(1)
    model: Any = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, pad_token_id=0)
    adapted: Any = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="SEQ_CLS"))
    for name, weight in adapted.named_parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.3)
        assert weight.requires_grad == ("lora" in name or "modules_to_save" in name)
    adapted.save_pretrained(tmp_path / "judge" / "adapter")
    adapted.merge_and_unload().save_pretrained(tmp_path / "judge" / "model")
    return tmp_path / "judge" / "model"


def causal(folder: Path) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder).eval()
    model.config.pad_token_id = 0
    return model


@torch.no_grad()
def score(model: Any) -> torch.Tensor:
    found: torch.Tensor = model.eval()(input_ids=IDS).logits
    return found


def test_it_scores_like_a_model_of_its_own_and_allocates_a_head(base: Path, judge: Path) -> None:
    policy = causal(base)
    shared = scalar_with_adapter(policy, adapter_over(str(judge), str(base)) or Path())
    own = AutoModelForSequenceClassification.from_pretrained(judge)
    torch.testing.assert_close(score(shared), score(own), atol=1e-5, rtol=0)
    assert score(own).abs() > 1e-3

    held = {weight.data_ptr() for weight in policy.parameters()}
    extra = sum(weight.numel() for weight in shared.parameters() if weight.data_ptr() not in held)
    trained = sum(weight.numel() for name, weight in shared.named_parameters() if "lora" in name)
    assert extra == trained + 2 * head_of(shared).weight.numel()  # peft keeps the head it replaced


def test_without_an_adapter_it_says_nothing_yet(base: Path) -> None:
    assert not score(scalar_over(causal(base))).any()


def test_an_adapter_over_another_base_is_left_alone(base: Path, judge: Path, tmp_path: Path) -> None:
    assert adapter_over(str(judge), str(base)) == judge.parent / "adapter"
    assert adapter_over(str(judge), str(tmp_path / "another")) is None
    assert adapter_over(str(base), str(base)) is None, "no adapter lies beside it"
    file = judge.parent / "adapter" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "trainable_token_indices": {"wte": [1]}}))
    assert adapter_over(str(judge), str(base)) is None, "its base was resized before it was trained"


def test_merging_one_leaves_the_other_as_it_was(base: Path, judge: Path) -> None:
    policy = causal(base)
    adapted = get_peft_model(policy, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    before = score(adapted)
    shared: PeftModel = scalar_with_adapter(causal(base), judge.parent / "adapter", trainable=True)
    assert torch.equal(score(adapted), before)

    policy = causal(base)
    shared = scalar_with_adapter(policy, judge.parent / "adapter", trainable=True)
    adapted = get_peft_model(policy, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    expected, before = score(shared), score(adapted)
    stand_alone(shared)
    merged: Any = shared.merge_and_unload()
    torch.testing.assert_close(score(merged), expected, atol=1e-5, rtol=0)
    assert torch.equal(score(adapted), before)


def test_what_one_learns_the_other_does_not(base: Path, judge: Path) -> None:
    """T11: no gradient of the value model's adapter reaches the policy's, nor the base."""
    policy = causal(base)
    value: Any = scalar_with_adapter(policy, judge.parent / "adapter", trainable=True)
    adapted: Any = get_peft_model(policy, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))

    value(input_ids=IDS).logits.sum().backward()
    assert any(weight.grad is not None for weight in value.parameters())
    assert all(weight.grad is None for weight in adapted.parameters())
    value.zero_grad(set_to_none=True)
    adapted(input_ids=IDS).logits.sum().backward()
    assert any(weight.grad is not None for weight in adapted.parameters())
    assert all(weight.grad is None for weight in value.parameters())
