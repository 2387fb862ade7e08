"""Lean scoring and attention against what they replace, computed the long way."""

import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedModel
from trl.trainer.utils import add_fused_lm_head

from align.models.attention import MAX_TOKENS, SHORT_CAUSAL, attention_forward, use_short_attention
from align.models.logprobs import SelectedLogprobs
from align.training.scoring import score_last, score_selected
from align.training.token_columns import IGNORED

SIZES = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}


@pytest.mark.parametrize("with_bias", [False, True])
def test_selected_logprobs_and_gradients(with_bias: bool) -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(300, 8), torch.randn(50, 8), torch.randn(50) if with_bias else None]
    targets = torch.randint(0, 50, (300,))
    weights = torch.randn(300)

    def gradients(explicit: bool) -> tuple[torch.Tensor, list[torch.Tensor]]:
        hidden, weight, bias = leaves = [
            None if tensor is None else tensor.clone().requires_grad_() for tensor in tensors
        ]
        if explicit:
            logits = hidden @ weight.T if bias is None else hidden @ weight.T + bias
            scores = (logits - logits.exp().sum(dim=1, keepdim=True).log())[range(300), targets]
        else:
            scores, is_top = SelectedLogprobs.apply(hidden, weight, bias, targets)
            assert torch.equal(
                is_top, (hidden @ weight.T + (0 if bias is None else bias)).argmax(1) == targets
            )
        (scores * weights).sum().backward()
        return scores.detach(), [leaf.grad for leaf in leaves if leaf is not None]

    (found, found_gradients), (expected, expected_gradients) = gradients(False), gradients(True)

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for one, other in zip(found_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def batch() -> dict[str, torch.Tensor]:
    """Three right-padded rows with prompts of different lengths."""
    torch.manual_seed(0)
    lengths, prompts, width = torch.tensor([[12], [9], [5]]), torch.tensor([[3], [4], [2]]), 12
    places = torch.arange(width)[None]
    input_ids = torch.randint(1, 97, (3, width)).masked_fill(places >= lengths, 0)
    labels = input_ids.masked_fill((places < prompts) | (places >= lengths), IGNORED)
    return {"input_ids": input_ids, "attention_mask": (places < lengths).long(), "labels": labels}


def pairs() -> dict[str, torch.Tensor]:
    """Three pairs with beginnings of 5, 0 and 9 tokens in common; one row ends where the other goes on."""
    torch.manual_seed(1)
    lengths = torch.tensor([8, 4, 9, 11, 6, 12])
    places = torch.arange(12)[None]
    input_ids = torch.randint(1, 97, (6, 12))
    input_ids[3, :5], input_ids[5, :9] = input_ids[0, :5], input_ids[2, :9]
    input_ids[3, 5], input_ids[4, 0] = 96 - input_ids[0, 5], 96 - input_ids[1, 0]
    mask = (places < lengths[:, None]).long()
    return {"input_ids": input_ids * mask, "attention_mask": mask}


def causal(**changes: object) -> PreTrainedModel:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**{**SIZES, **changes}))
    add_fused_lm_head(model, outputs=("log_probs", "is_top1"))
    return model


def test_lean_head_gives_what_trl_gives() -> None:
    inputs = batch()
    lean = causal()
    assert score_selected(lean, is_paired=False)
    outputs = [model(**inputs, fused_lm_head=True) for model in (lean, causal())]

    torch.testing.assert_close(outputs[0].log_probs, outputs[1].log_probs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(outputs[0].loss, outputs[1].loss)
    assert torch.equal(outputs[0].is_top1 & outputs[0].label_mask, outputs[1].is_top1 & outputs[1].label_mask)
    assert lean(input_ids=inputs["input_ids"]).logits.shape == (3, 12, 97)


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_sees_what_an_adapter_makes_of_fresh_tokens(tied: bool) -> None:
    """Their embeddings, in and out, are trained; weight tables alone would leave that out."""
    inputs = batch()
    model = causal(tie_word_embeddings=tied)
    tokens = {"embed_tokens": [96]} if tied else {"embed_tokens": [96], "lm_head": [96]}
    adapted = get_peft_model(
        model, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", trainable_token_indices=tokens)
    )
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "token_adapter" in name:
                weight.add_(1.0)
    assert score_selected(adapted.get_base_model(), is_paired=False)
    found = adapted(**inputs, fused_lm_head=True)
    expected = adapted.merge_and_unload()(**inputs).loss

    torch.testing.assert_close(found.loss, expected)


def test_a_model_that_changes_its_logits_keeps_trls_head() -> None:
    model = causal()
    model.config.final_logit_softcapping = 30.0
    assert not score_selected(model, is_paired=False)


def test_rewards_of_pairs_are_the_models_own() -> None:
    inputs = pairs()
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(LlamaConfig(**SIZES, num_labels=1))
    expected = model(**inputs).logits
    score_last(model)

    torch.testing.assert_close(model(**inputs).logits, expected)


def explicit_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Token by token, in fp64. (B, T, heads, channels)"""
    batch_size, heads, length, channels = query.shape
    mixed = torch.zeros(batch_size, length, heads, channels, dtype=torch.float64)
    for head in range(heads):
        shared = head * key.shape[1] // heads
        for place in range(length):
            seen = slice(0, place + 1)
            scores = torch.einsum("bc,btc->bt", query[:, head, place].double(), key[:, shared, seen].double())
            weights = (scores / math.sqrt(channels)).softmax(dim=-1)
            mixed[:, place, head] = torch.einsum("bt,btc->bc", weights, value[:, shared, seen].double())
    return mixed


def test_short_attention_is_causal_attention() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 9, 8), torch.randn(2, 2, 9, 8), torch.randn(2, 2, 9, 8)
    module = torch.nn.Module()
    module.num_key_value_groups = 2

    with torch.autocast("cpu", torch.bfloat16):
        found, _ = attention_forward(module, query, key, value, None)
    exact, _ = attention_forward(module, query, key, value, None)

    expected = explicit_attention(query, key, value)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), expected, atol=3e-2, rtol=3e-2)
    torch.testing.assert_close(exact.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("length", [7, MAX_TOKENS + 5])
def test_a_model_says_the_same_with_short_attention(length: int) -> None:
    input_ids = torch.randint(1, 97, (2, length), generator=torch.Generator().manual_seed(0))
    model = causal(initializer_range=0.2, max_position_embeddings=512)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = model(input_ids).logits.float()
        use_short_attention(model)
        found = model(input_ids).logits.float()

    assert model.config._attn_implementation == SHORT_CAUSAL
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()
    assert "attn_implementation" not in str(model.config.to_dict())


def test_a_chosen_attention_stays() -> None:
    model = causal()
    model.set_attn_implementation("eager")
    use_short_attention(model)
    assert model.config._attn_implementation == "eager"
