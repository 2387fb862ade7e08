"""Policies and references: weights -> a causal language model to train, or to compare with.

Reads   a folder or Hub id in safetensors
"""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from align.models.quantization import keep_layout
from align.models.spec import ArchitectureSpec, ModelSpec
from align.models.tokenizer import prepare


def load_policy(
    path: str,
    spec: ModelSpec,
    tokenizer: PreTrainedTokenizerBase,
    *,
    attention: str = "sdpa",
    dtype: torch.dtype = torch.float32,
    quantization: Mapping[str, Any] | None = None,
) -> PreTrainedModel:
    """Load a causal model to train, fitted to its tokenizer.

    Weights are fp32 whatever the compute precision: the optimiser needs them (autocast does the rest). Only
    a model that is not trained may take another `dtype`. `quantization` is what
    `align.models.quantization.loading` gives: the base of an adapter in 4 bits.
    """
    model = AutoModelForCausalLM.from_pretrained(
        path,
        revision=spec.revision,
        trust_remote_code=spec.trust_remote_code,
        dtype=dtype,
        use_safetensors=True,
        attn_implementation=attention,
        **(quantization or {}),
    )
    keep_layout(model)
    prepare(model, tokenizer)
    return model


def load_reference(
    path: str,
    spec: ModelSpec,
    tokenizer: PreTrainedTokenizerBase,
    *,
    attention: str = "sdpa",
    dtype: torch.dtype = torch.float32,
) -> PreTrainedModel:
    """Load a frozen copy: to compare the policy with, or to generate from."""
    return load_policy(path, spec, tokenizer, attention=attention, dtype=dtype).requires_grad_(False).eval()


def build_policy(spec: ArchitectureSpec, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A Llama with random weights (drawn from torch's global generator) and a tokenizer's vocabulary."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=spec.hidden_size,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.key_value_heads or spec.heads,
        intermediate_size=spec.intermediate_size,
        max_position_embeddings=spec.max_positions,
        tie_word_embeddings=spec.tie_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": spec.rope_theta},
        initializer_range=spec.initializer_range,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    prepare(model, tokenizer)
    return model
