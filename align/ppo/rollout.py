"""Rollout: what one batch of episodes looked like, as tensors; and how it is cut into smaller batches."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from align.ppo.forward import Sequences, rounded_up

WIDTH_STEP, ROWS_STEP = 8, 4  # of a microbatch, see `rounded_up`


@dataclass(frozen=True)
class Rollout(Sequences):
    """B episodes under the policy as it was. All of (B, T) is zero where there is no completion token.

    Attributes:
        ended: whether a stop token ended the completion, rather than its length. (B,)
        valid: whether the episode has a finite score; others count nowhere. (B,)
        scores: what the reward sources said, weighted and summed, before any shaping; 0 if not valid. (B,)
        sampler_logprobs: log-probabilities as the sampler saw them when it drew the tokens. (B, T)
        old_logprobs: log-probabilities under the policy that answered, as training computes them; the
            sampler's own where these are the same. (B, T)
        reference_logprobs: log-probabilities under the reference. (B, T)
        values: of the state before each token. (B, T)
        entropy: of the distribution each token was drawn from, or, where the policy was not read again, an
            unbiased estimate: what the token itself is worth, -log p. (B, T)
    """

    ended: Tensor
    valid: Tensor
    scores: Tensor
    sampler_logprobs: Tensor
    old_logprobs: Tensor
    reference_logprobs: Tensor
    values: Tensor
    entropy: Tensor

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def mask(self) -> Tensor:
        """True on completion tokens of valid episodes. (B, T)"""
        return super().mask & self.valid[:, None]


@dataclass(frozen=True)
class Experience(Rollout):
    """A rollout with what is learnt from it: advantages and returns. (B, T)"""

    advantages: Tensor
    returns: Tensor

    def rows(self, index: Sequence[int]) -> "Experience":
        """Some of the episodes, without columns that are padding in all of them. (b, …)"""
        chosen = torch.as_tensor(index, device=self.lengths.device)
        cut: dict[str, Any] = {field.name: getattr(self, field.name)[chosen] for field in fields(self)}
        width, total = int(cut["lengths"].max()), int((cut["prompt_lengths"] + cut["lengths"]).max())
        total = rounded_up(total, WIDTH_STEP)
        for name, value in cut.items():
            if value.dim() == 2:
                cut[name] = value[:, : total if name == "input_ids" else width]
        return Experience(**cut)


def as_sequences(
    prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], pad: int
) -> Sequences:
    """Prompts and completions of token ids, one after the other in rows that are padded on the right.

    Rows are a multiple of `WIDTH_STEP` tokens wide.
    """
    whole = [[*prompt, *completion] for prompt, completion in zip(prompts, completions, strict=True)]
    width = rounded_up(max(map(len, whole)), WIDTH_STEP)
    return Sequences(
        input_ids=torch.tensor([[*row, *[pad] * (width - len(row))] for row in whole]),
        prompt_lengths=torch.tensor([len(prompt) for prompt in prompts]),
        lengths=torch.tensor([len(completion) for completion in completions]),
    )


def microbatches(
    sizes: Sequence[int], rows: Sequence[int], tokens: int, most: int | None = None
) -> list[list[int]]:
    """Cut `rows` into batches of similar length, longest first.

    Args:
        sizes: tokens of every row, prompt included; `rows` are numbers of these.
        rows: what to cut.
        tokens: a batch's rows times its width are at most so many, or it is a single row.
        most: rows per batch, where that is bounded too.
    """
    batches: list[list[int]] = []
    longest_first = sorted(rows, key=lambda number: -sizes[number])
    while longest_first:
        size = max(1, tokens // rounded_up(sizes[longest_first[0]], WIDTH_STEP))
        size = size - size % ROWS_STEP if size > ROWS_STEP else size
        size = size if most is None else min(size, most)
        batches.append(longest_first[:size])
        longest_first = longest_first[size:]
    return batches
