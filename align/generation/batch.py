"""Autoregressive decoding of one batch: left-padded prompts -> token ids, with a key-value cache.

A loop of our own instead of `generate`: rows that ended leave the batch, and every row draws from its own
random stream. docs/decisions.md holds the measurement.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from align.generation.cache import roomy_cache

# token ids and their log-probabilities
Answer = tuple[list[int], list[float]]

SHRINK_BELOW = (
    0.75  # copying the cache costs about as much as a step: worth it once a quarter of the rows ended
)


def left_padded(prompts: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Prompts of different lengths as one rectangle.

    Returns:
        (ids, mask), both (B, T); mask is 1 on prompt tokens, and built from lengths, never from ids.
    """
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return ids, mask


@torch.no_grad()
def decode(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    choose: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]],
    *,
    stop: Tensor,
    pad: int,
    steps: int,
    hear: Callable[[int, int], None] | None = None,
) -> list[Answer]:
    """Continue every prompt until a stop token or for `steps` tokens.

    Args:
        model: a causal language model in evaluation mode.
        prompts: token ids per row.
        choose: (logits (B, V) in float32, row numbers (B,), step) -> next token ids and their
            log-probabilities, both (B,).
        stop: ids that end a row. (S,)
        pad: any valid id; it fills the left of short prompts and is masked out.
        steps: most tokens per row.
        hear: called with the row and its next token, as soon as there is one.

    Returns:
        New token ids per row, the stop token included where one was chosen, and their log-probabilities.
    """
    ids, mask = (item.to(model.device) for item in left_padded(prompts, pad))
    cache = roomy_cache(model.config, ids.shape[1] + steps)
    state: dict[str, Any] = {"past_key_values": cache, "use_cache": True}
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    rows = torch.arange(len(prompts), device=model.device)
    active = torch.ones_like(rows, dtype=torch.bool)
    chosen: list[Answer] = [([], []) for _ in prompts]
    for step in range(steps):
        output = model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=1, **state)
        following, logprobs = choose(output.logits[:, -1].float(), rows, step)
        columns = (rows.tolist(), following.tolist(), logprobs.tolist(), active.tolist())
        for row, token, logprob, is_active in zip(*columns, strict=True):
            if is_active:
                chosen[row][0].append(token)
                chosen[row][1].append(logprob)
                if hear is not None:
                    hear(row, token)
        active = active & ~torch.isin(following, stop)
        if not active.any():
            break
        ids, positions = following[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        if active.float().mean() <= SHRINK_BELOW:
            kept = active.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            ids, positions, mask, rows, active = (item[kept] for item in (ids, positions, mask, rows, active))
    return chosen
