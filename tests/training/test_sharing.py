"""A pair read as one row says what its two rows say, whatever they have in common."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from trl.trainer.utils import add_fused_lm_head

from align.training.scoring import score_selected
from align.training.sharing import can_share, share, sharing_pays
from align.training.token_columns import IGNORED

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "pad_token_id": 0,
}


def rows(*tokens: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded rows and their lengths."""
    width = max(map(len, tokens))
    return torch.tensor([row + [0] * (width - len(row)) for row in tokens]), torch.tensor([*map(len, tokens)])


def test_the_layout_of_a_pair() -> None:
    input_ids, lengths = rows([7, 8, 1, 2], [9, 5], [7, 8, 3], [6, 5, 4])
    pairs = share(input_ids, lengths, torch.float32)

    assert pairs.input_ids.tolist() == [[7, 8, 1, 2, 3], [9, 5, 6, 5, 4]]
    assert pairs.position_ids.tolist() == [[0, 1, 2, 3, 2], [0, 1, 0, 1, 2]]
    flat = pairs.input_ids.flatten()
    for row, length, places in zip(input_ids, lengths, pairs.places, strict=True):
        assert flat[places[:length]].tolist() == row[:length].tolist()
    seen = [[place for place in range(5) if line[place] == 0] for line in pairs.attention_mask[0, 0]]
    assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 4]]
    seen = [[place for place in range(5) if line[place] == 0] for line in pairs.attention_mask[1, 0]]
    assert seen == [[0], [0, 1], [2], [2, 3], [2, 3, 4]]


def test_a_row_that_continues_the_other_shares_all_of_it() -> None:
    input_ids, lengths = rows([7, 8], [7, 8, 3])
    pairs = share(input_ids, lengths, torch.float32)

    assert pairs.input_ids.tolist() == [[7, 8, 3]]
    assert pairs.places.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert pairs.position_ids.tolist() == [[0, 1, 2]]


def test_shared_pairs_have_the_logprobs_and_gradients_of_separate_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    prompts = [torch.randint(1, 50, (size,), generator=generator).tolist() for size in (9, 6, 12, 1)]
    completions = [
        torch.randint(1, 50, (size,), generator=generator).tolist() for size in (3, 5, 1, 4, 2, 2, 6, 3)
    ]
    whole = [prompts[place % 4] + completion for place, completion in enumerate(completions)]
    input_ids, lengths = rows(*whole)
    steps = torch.arange(input_ids.shape[1])
    starts = torch.tensor([len(prompts[place % 4]) for place in range(8)])[:, None]
    labels = input_ids.masked_fill((steps < starts) | (steps >= lengths[:, None]), IGNORED)
    mask = (steps < lengths[:, None]).long()
    weights = torch.randn(8, input_ids.shape[1] - 1, generator=generator)

    found = []
    for is_shared in (True, False):
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**SIZES))
        add_fused_lm_head(model)
        if is_shared:
            assert score_selected(model, is_paired=True)
            assert sharing_pays(max(len(p) for p in prompts) + 7, input_ids.shape[1], 32)
        scored = model(input_ids=input_ids, attention_mask=mask, labels=labels, fused_lm_head=True).log_probs
        (scored * weights).sum().backward()
        found.append((scored.detach(), [weight.grad for weight in model.parameters()]))

    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-5, rtol=1e-5)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_sharing_is_for_full_attention_and_for_prompts_worth_it() -> None:
    assert can_share(LlamaForCausalLM(LlamaConfig(**SIZES)))
    assert not can_share(MistralForCausalLM(MistralConfig(**SIZES, sliding_window=8)))
    eager = LlamaForCausalLM(LlamaConfig(**SIZES))
    eager.set_attn_implementation("eager")
    assert not can_share(eager)
    assert sharing_pays(shared_width=233, width=192, hidden_size=256)
    assert not sharing_pays(shared_width=950, width=500, hidden_size=256)
