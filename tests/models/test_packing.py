"""Packed rows give what padded ones give, for models whose tokens meet in attention alone."""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    Lfm2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3Config,
)

from align.models.attention import use_short_attention
from align.models.packing import TOKENS_STEP, Packing, longest_packable, packed_states

SIZES = {"vocab_size": 59, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
CONFIGS = {
    "llama": LlamaConfig(**SIZES, **HEADS),
    "qwen3": Qwen3Config(**SIZES, **HEADS),
    "gemma3": Gemma3TextConfig(
        **SIZES, **HEADS, sliding_window=16, layer_types=["sliding_attention", "full_attention"]
    ),
    "gpt2": GPT2Config(vocab_size=59, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=1),
}
LENGTHS = [9, 1, 12, 4]
WIDTH = 16


def backbone(config: PreTrainedConfig, attention: str = "sdpa") -> PreTrainedModel:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention).eval().double()
    use_short_attention(model)
    return model.base_model


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randint(0, 59, (len(LENGTHS), WIDTH)), torch.tensor(LENGTHS)


@pytest.mark.parametrize("name", CONFIGS)
def test_packed_states_and_gradients_are_those_of_rows_read_alone(name: str) -> None:
    """trl#469, trlx#508: GPT-2 tells positions that do not begin anew with every row."""
    model = backbone(CONFIGS[name])
    assert longest_packable(model) >= WIDTH
    ids, lengths = rows()
    weights = torch.randn(sum(LENGTHS), 32, dtype=torch.float64)

    def gradients(states: torch.Tensor) -> list[torch.Tensor]:
        model.zero_grad()
        (states * weights).sum().backward()
        return [weight.grad.clone() for weight in model.parameters()]

    together = packed_states(model, ids, Packing.of(lengths, WIDTH))[: sum(LENGTHS)]
    alone = torch.cat(
        [model(row[None, :size]).last_hidden_state[0] for row, size in zip(ids, LENGTHS, strict=True)]
    )
    torch.testing.assert_close(together, alone, atol=1e-10, rtol=0)
    for ours, theirs in zip(gradients(together), gradients(alone), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)  # norms of Gemma are in fp32


def test_a_packing_finds_every_token_again() -> None:
    ids, lengths = rows()
    packing = Packing.of(lengths, WIDTH)
    expected = [token for row, size in zip(ids.tolist(), LENGTHS, strict=True) for token in row[:size]]

    packed = packing.packed(ids)[0].tolist()
    assert packed[: len(expected)] == expected and len(packed) == TOKENS_STEP
    assert packing.positions[0, : len(expected)].tolist() == [at for size in LENGTHS for at in range(size)]
    columns = packing.columns[: len(expected)]
    assert packing.tokens[columns].tolist() == [*range(len(expected))]
    assert len(packing.fillers) == TOKENS_STEP - len(expected)
    assert len(packing.padding) == len(LENGTHS) * WIDTH - len(expected)


def test_a_model_that_mixes_tokens_elsewhere_is_not_packed() -> None:
    """The check has teeth: a convolution carries the end of each row into the next."""
    config = Lfm2Config(**SIZES, **HEADS, layer_types=["conv", "full_attention"])
    assert longest_packable(backbone(config)) == 0


def test_rows_beyond_a_sliding_window_and_other_kernels_are_not_packed() -> None:
    assert longest_packable(backbone(CONFIGS["gemma3"])) == 16
    assert longest_packable(backbone(CONFIGS["llama"], "eager")) == 0
