"""Reward models: weights -> one score per conversation, read at its last real token.

Reads   a causal model (a scalar head is added) or a saved reward model, in safetensors
Writes  model/, adapter/
Source  Ouyang et al. 2022, arXiv:2203.02155, §3.5
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from align.models.quantization import keep_layout
from align.models.rendering import Turns, render
from align.models.sharding import whole
from align.models.spec import ModelSpec
from align.models.tokenizer import prepare


def load_reward_model(
    path: str,
    spec: ModelSpec,
    tokenizer: PreTrainedTokenizerBase,
    *,
    attention: str = "sdpa",
    dtype: torch.dtype = torch.float32,
    quantization: Mapping[str, Any] | None = None,
) -> PreTrainedModel:
    """Load a model with one output; a causal checkpoint gets a fresh head.

    A fresh head is drawn from N(0, 1/(hidden_size + 1)) as in Stiennon et al. 2020 (arXiv:2009.01325), so
    that scores start near zero. Weights are fp32 whatever the compute precision; only a model that is
    not trained may take another `dtype`.
    """
    # The head's absence and the language-model head's presence are expected; the loader would warn of both.
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        path,
        revision=spec.revision,
        trust_remote_code=spec.trust_remote_code,
        num_labels=1,
        dtype=dtype,
        use_safetensors=True,
        attn_implementation=attention,
        **(quantization or {}),
        output_loading_info=True,
    )
    if any(name.startswith("score") for name in loading["missing_keys"]):
        _initialise(model.score.weight)
    keep_layout(model)
    prepare(model, tokenizer)
    return model


@torch.no_grad()
def _initialise(head: torch.Tensor) -> None:
    # From torch's seed, not its state: what loading draws from that depends on how the weights are sharded.
    generator = torch.Generator().manual_seed(torch.initial_seed())
    with whole([head]):
        drawn = torch.randn(head.shape, generator=generator) * (head.shape[-1] + 1) ** -0.5
        head.copy_(drawn)


def tokenise(tokenizer: PreTrainedTokenizerBase, conversations: Sequence[Turns]) -> list[list[int]]:
    """Token ids of every conversation, rendered with the tokenizer's template."""
    texts = [render(tokenizer, conversation) for conversation in conversations]
    return tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []


@torch.inference_mode()
def score_tokens(
    model: PreTrainedModel, token_ids: Sequence[Sequence[int]], bf16: bool = False
) -> list[float]:
    """One score per conversation of token ids, in order, computed in bf16 where `bf16` says so. (B,)"""
    width = max(len(ids) for ids in token_ids)
    padded = torch.full((len(token_ids), width), model.config.get_text_config().pad_token_id)
    mask = torch.zeros_like(padded)
    for row, ids in enumerate(token_ids):
        padded[row, : len(ids)] = torch.tensor(ids)
        mask[row, : len(ids)] = 1
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        logits = model(
            input_ids=padded.to(model.device), attention_mask=mask.to(model.device), use_cache=False
        ).logits
    return logits.squeeze(-1).float().tolist()
