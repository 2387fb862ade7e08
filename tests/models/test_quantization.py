"""A base in 4 bits: what is trained over it is fp32, and what is saved answers as what was trained did."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedTokenizerBase

from align.artifacts.store import ArtifactDir
from align.models.adapter import lora_config
from align.models.causal import load_policy
from align.models.quantization import (
    full_precision_adapter,
    loading,
    noted_quantization,
    quantization_of,
    quantization_problems,
)
from align.models.saving import save_model
from align.models.scalar import load_reward_model
from align.models.shared_base import adapter_over, scalar_with_adapter
from align.models.spec import AdapterSpec, ModelSpec
from align.models.tokenizer import load_tokenizer

SPEC, QLORA = ModelSpec(path="unused"), AdapterSpec(rank=4, quantization="nf4")
IDS = torch.tensor([[5, 6, 7, 8, 9, 10], [6, 5, 7, 9, 8, 11]])


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(tiny_model))


def adapted(folder: Path, tokenizer: PreTrainedTokenizerBase, *, is_judge: bool = False) -> PeftModel:
    """A model in 4 bits with an adapter as if it had been trained."""
    load: Any = load_reward_model if is_judge else load_policy
    model = load(str(folder), SPEC, tokenizer, quantization=loading(QLORA))
    config = lora_config(QLORA, model, tokenizer, "SEQ_CLS" if is_judge else "CAUSAL_LM")
    assert config is not None
    torch.manual_seed(0)
    wrapped = get_peft_model(model, config)
    with torch.no_grad():
        for weight in wrapped.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.1)
    return wrapped.eval()


@torch.no_grad()
def answers(model: Any) -> torch.Tensor:
    found: torch.Tensor = model.eval()(input_ids=IDS).logits
    return found


@pytest.mark.parametrize("is_judge", [False, True], ids=["policy", "judge"])
def test_what_is_saved_answers_as_what_was_trained(
    tiny_model: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerBase, is_judge: bool
) -> None:
    model, output = adapted(tiny_model, tokenizer, is_judge=is_judge), ArtifactDir(tmp_path / "stage")
    before = answers(model)
    kind: Any = AutoModelForSequenceClassification if is_judge else AutoModelForCausalLM
    with model.disable_adapter():
        rounded = answers(model)
    save_model(model, tokenizer, output)

    saved = kind.from_pretrained(output.model)
    torch.testing.assert_close(answers(saved), before, atol=1e-5, rtol=0)
    assert quantization_of(saved) is None and saved.dtype == torch.float32
    assert noted_quantization(output.adapter) == "nf4"
    if not is_judge:
        whole = answers(kind.from_pretrained(tiny_model))
        assert 1e-4 < (rounded - whole).abs().max() < whole.abs().max(), "4 bits are near, and not the same"


def test_a_judge_in_4_bits_is_read_over_the_policys_base(
    tiny_model: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    judge, output = adapted(tiny_model, tokenizer, is_judge=True), ArtifactDir(tmp_path / "judge")
    before = answers(judge)
    save_model(judge, tokenizer, output)

    over = (str(output.model), str(tiny_model))
    assert adapter_over(*over) is None, "the base in ordinary weights is another base"
    base = load_policy(str(tiny_model), SPEC, tokenizer, quantization=loading(QLORA))
    folder = adapter_over(*over, quantization_of(base))
    assert folder is not None
    shared = scalar_with_adapter(base, folder)
    torch.testing.assert_close(answers(shared), before, atol=1e-5, rtol=0)
    held = {weight.data_ptr() for weight in base.parameters()}
    assert all(
        weight.data_ptr() in held
        for name, weight in shared.named_parameters()
        if "lora" not in name and "score" not in name
    )


def test_what_is_trained_over_4_bits_is_fp32_again(
    tiny_model: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    model = adapted(tiny_model, tokenizer)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in trained:
        weight.data = weight.data.bfloat16()
    full_precision_adapter(model)
    assert {weight.dtype for weight in trained} == {torch.float32}


def test_what_is_missing_is_said_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert quantization_problems(QLORA, None) == quantization_problems(QLORA, 2) == []
    assert quantization_problems(AdapterSpec(), 3) == quantization_problems(None, 3) == []
    assert "choose parallel=zero2" in quantization_problems(QLORA, 3)[0]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'align[qlora]'" in quantization_problems(QLORA, None)[0]
