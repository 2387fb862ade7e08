"""Models on disk: only safetensors in, merged weights out, a score that is read at the last real token."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedTokenizerBase

from align.artifacts.store import ArtifactDir
from align.models.adapter import lora_config
from align.models.causal import load_policy, load_reference
from align.models.rendering import render
from align.models.saving import NonFiniteWeightsError, save_model
from align.models.scalar import load_reward_model, score_tokens, tokenise
from align.models.spec import AdapterSpec, ModelSpec
from align.models.tokenizer import load_tokenizer

SPEC = ModelSpec(path="unused")
DIALOGUES = [
    [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    for question, answer in (
        ("what of the fox?", "it is red"),
        ("and?", "it is blue then it is red"),
        ("so", "no"),
    )
]


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(tiny_model))


def disturbed(model: PeftModel) -> PeftModel:
    """An adapter as if it had been trained: its second factor starts at zero."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.1)
    return model.eval()


def test_pickled_weights_are_not_loaded(
    tiny_model: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")

    with pytest.raises(OSError, match="safetensors"):
        load_policy(str(tmp_path), SPEC, tokenizer)


def test_a_reference_is_frozen_and_a_policy_is_fp32(
    tiny_model: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    policy = load_policy(str(tiny_model), SPEC, tokenizer)
    reference = load_reference(str(tiny_model), SPEC, tokenizer)

    assert all(weight.dtype == torch.float32 and weight.requires_grad for weight in policy.parameters())
    assert not any(weight.requires_grad for weight in reference.parameters()) and not reference.training


@pytest.mark.parametrize("dora", [False, True])
def test_merged_weights_say_what_the_adapter_said(
    tiny_model: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerBase, dora: bool
) -> None:
    base = load_policy(str(tiny_model), SPEC, tokenizer)
    adapter = AdapterSpec(rank=4, alpha=8, use_dora=dora)
    model = disturbed(get_peft_model(base, lora_config(adapter, base, tokenizer, "CAUSAL_LM")))
    tokens = torch.tensor([[5, 9, 300, 44]])
    with torch.no_grad():
        expected = model(tokens).logits
    output = ArtifactDir(tmp_path)
    save_model(model, tokenizer, output)

    merged = AutoModelForCausalLM.from_pretrained(output.model)
    rebuilt = PeftModel.from_pretrained(load_policy(str(tiny_model), SPEC, tokenizer), str(output.adapter))
    with torch.no_grad():
        torch.testing.assert_close(merged(tokens).logits, expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(rebuilt(tokens).logits, expected, atol=1e-4, rtol=1e-4)
    assert {path.suffix for path in tmp_path.rglob("*") if "weight" in path.name or "model" in path.stem} <= {
        ".safetensors", "", ".json"
    }  # fmt: skip


def test_fresh_tokens_are_trained_and_merged_with_an_adapter(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    tokenizer.add_tokens(["<new>"])
    tokenizer.fresh_token_ids = [len(tokenizer) - 1]
    base = load_policy(str(tiny_model), SPEC, tokenizer)
    model = disturbed(get_peft_model(base, lora_config(AdapterSpec(rank=2), base, tokenizer, "CAUSAL_LM")))
    tokens = torch.tensor([[5, tokenizer.fresh_token_ids[0], 44]])
    with torch.no_grad():
        expected = model(tokens).logits
    save_model(model, tokenizer, ArtifactDir(tmp_path))

    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        torch.testing.assert_close(merged(tokens).logits, expected, atol=1e-4, rtol=1e-4)


def test_weights_that_are_not_finite_are_refused(
    tiny_model: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerBase
) -> None:
    model = load_policy(str(tiny_model), SPEC, tokenizer)
    with torch.no_grad():
        model.model.norm.weight[3] = float("inf")

    with pytest.raises(NonFiniteWeightsError, match="norm.weight; nothing was saved"):
        save_model(model, tokenizer, ArtifactDir(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_score_is_read_at_the_last_real_token(tiny_model: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Recomputed one conversation at a time, from the hidden state at its EOS."""
    model = load_reward_model(str(tiny_model), SPEC, tokenizer).eval()
    expected = []
    with torch.no_grad():
        for dialogue in DIALOGUES:
            ids = tokenizer(render(tokenizer, dialogue), add_special_tokens=False, return_tensors="pt")[
                "input_ids"
            ]
            assert ids[0, -1] == tokenizer.eos_token_id
            hidden = model.model(ids).last_hidden_state[0, -1]
            expected.append((hidden @ model.score.weight[0]).item())

    assert score_tokens(model, tokenise(tokenizer, DIALOGUES)) == pytest.approx(expected, abs=1e-5)
    assert score_tokens(model, tokenise(tokenizer, DIALOGUES[::-1])) == pytest.approx(
        expected[::-1], abs=1e-5
    )


@pytest.mark.parametrize("adapter", [None, AdapterSpec(rank=2, alpha=4)], ids=["full", "lora"])
def test_a_reward_model_keeps_its_scores_on_disk(
    tiny_model: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerBase, adapter: AdapterSpec | None
) -> None:
    model = load_reward_model(str(tiny_model), SPEC, tokenizer).eval()
    if adapter is not None:
        model = disturbed(get_peft_model(model, lora_config(adapter, model, tokenizer, "SEQ_CLS")))
    expected = score_tokens(model, tokenise(tokenizer, DIALOGUES))
    save_model(model, tokenizer, ArtifactDir(tmp_path))
    saved = load_reward_model(str(tmp_path / "model"), SPEC, tokenizer).eval()

    assert score_tokens(saved, tokenise(tokenizer, DIALOGUES)) == pytest.approx(expected, abs=1e-4)
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").config.num_labels == 1


def test_a_fresh_head_starts_small(tiny_model: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    heads = []
    for seed in range(20):
        torch.manual_seed(seed)
        heads.append(load_reward_model(str(tiny_model), SPEC, tokenizer).score.weight.detach())
    spread = torch.cat(heads).std().item()

    assert spread == pytest.approx((48 + 1) ** -0.5, rel=0.1)
    assert not torch.equal(heads[0], heads[1])
