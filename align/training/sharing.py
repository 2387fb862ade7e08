"""Sharing: two sequences that begin alike -> one, in which the beginning is computed once.

A preference pair is read as prompt, chosen, rejected in one row: the rejected part takes its positions from
where the prompt ends and does not see the chosen part, so every token's hidden state is what it is in a row
of its own.
"""

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from align.models.attention import SHORT_CAUSAL


@dataclass(frozen=True)
class SharedPairs:
    """B pairs as B rows of S tokens, with what a causal model needs to read them.

    Attributes:
        input_ids: prompt, rest of the chosen, rest of the rejected, padding. (B, S)
        position_ids: each token's position in the row it came from. (B, S)
        attention_mask: 0 where a token may look, minus infinity elsewhere. (B, 1, S, S)
        places: for every token of the 2B rows of T, chosen first, where it stands in the B * S. (2B, T)
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    attention_mask: torch.Tensor
    places: torch.Tensor


def share(input_ids: torch.Tensor, lengths: torch.Tensor, dtype: torch.dtype) -> SharedPairs:
    """Lay pairs out so that what both begin with stands there once.

    Args:
        input_ids: right-padded rows, B chosen and then B rejected. (2B, T)
        lengths: real tokens per row. (2B,)
        dtype: of the attention mask.
    """
    chosen, rejected = input_ids.chunk(2)
    chosen_length, rejected_length = lengths.chunk(2)
    width = input_ids.shape[1]
    steps = torch.arange(width, device=input_ids.device)
    both = torch.minimum(chosen_length, rejected_length)[:, None]
    alike = ((chosen == rejected) & (steps < both)).long().cumprod(dim=1).sum(dim=1)

    moved = steps + (chosen_length - alike)[:, None]  # where a rejected token behind the beginning goes
    places = torch.cat([steps.expand_as(chosen), torch.where(steps < alike[:, None], steps, moved)])
    total = int((chosen_length + rejected_length - alike).max())
    places = torch.where(steps < lengths[:, None], places, total)  # padding goes to a column that is cut off

    shared = chosen.new_zeros(len(chosen), total + 1)
    positions = torch.zeros_like(shared)
    for row, place in zip((chosen, rejected), places.chunk(2), strict=True):
        shared.scatter_(1, place, row)
        positions.scatter_(1, place, steps.expand_as(row))
    mask = _mask(alike, chosen_length, total, dtype)
    offsets = torch.arange(len(chosen), device=input_ids.device).repeat(2)[:, None] * total
    return SharedPairs(shared[:, :total], positions[:, :total], mask, places.clamp(max=total - 1) + offsets)


def _mask(alike: torch.Tensor, chosen_length: torch.Tensor, total: int, dtype: torch.dtype) -> torch.Tensor:
    """Causal, and the rejected part is blind to the chosen part. (B, 1, total, total)"""
    steps = torch.arange(total, device=alike.device)
    is_rejected = steps >= chosen_length[:, None]
    is_chosen = (steps >= alike[:, None]) & ~is_rejected
    hidden = (steps[None, :] > steps[:, None]) | (is_rejected[:, :, None] & is_chosen[:, None, :])
    return torch.zeros_like(hidden, dtype=dtype).masked_fill_(hidden, float("-inf"))[:, None]


def can_share(model: PreTrainedModel) -> bool:
    """Whether every layer takes a mask of ours: full attention, over positions that it is told."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    if kinds is None and getattr(config, "sliding_window", None) is not None:
        return False
    return set(kinds or ["full_attention"]) == {"full_attention"} and config._attn_implementation in (
        "sdpa",
        SHORT_CAUSAL,
    )


def sharing_pays(shared_width: int, width: int, hidden_size: int) -> bool:
    """Whether B rows of `shared_width` cost less than 2B rows of `width`.

    Per token a layer costs a share for its own matrices and one for each token it may look at; the former is
    taken to weigh as much as looking at twice as many tokens as there are channels.
    """
    own = 2 * hidden_size
    return shared_width * (shared_width + own) < 2 * width * (width + own)
