"""A language model small enough to recompute by brute force, and questions to ask it."""

import random

import pytest
import torch
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from align.data.records import Message
from align.models.spec import TokenizerSpec
from align.models.tokenizer import build_tokenizer

WORDS = (
    "the",
    "red",
    "fox",
    "and",
    "a",
    "blue",
    "owl",
    "sing",
    "of",
    "rivers",
    "maps",
    "lamps",
    "bread",
    "rain",
)


def sentence(seed: int, words: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


@pytest.fixture(scope="session")
def talker() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A random Llama whose large initial weights make its answers differ, and end at different lengths."""
    tokenizer = build_tokenizer(TokenizerSpec(vocab_size=320), [sentence(seed, 12) for seed in range(50)])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + 8,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=160,
        initializer_range=0.5,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    frequent = [tokenizer.convert_tokens_to_ids(token) for token in ("a", "e", "o")]
    model.generation_config = GenerationConfig(
        eos_token_id=frequent, do_sample=True, top_k=1, repetition_penalty=9.0
    )
    return model, tokenizer


@pytest.fixture(scope="session")
def questions() -> list[tuple[Message, ...]]:
    """Forty prompts of very different lengths."""
    return [(Message("user", sentence(seed, 1 + seed % 13)),) for seed in range(40)]
