"""One decoding step: logits -> next token, greedy or by a random draw that belongs to the row."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from align.generation.decoding import DecodingSpec


def shaping(decoding: DecodingSpec) -> Callable[[Tensor], Tensor]:
    """What turns logits (B, V) into those of the distribution that `decoding` samples from.

    Temperature comes first, then top-k, then top-p; an excluded token's logit becomes -inf.
    """
    steps: list[Callable[..., Tensor]] = []
    if decoding.temperature not in (0.0, 1.0):
        steps.append(TemperatureLogitsWarper(decoding.temperature))
    if decoding.top_k:
        steps.append(TopKLogitsWarper(decoding.top_k))
    if decoding.top_p < 1:
        steps.append(TopPLogitsWarper(decoding.top_p))

    def shaped(logits: Tensor) -> Tensor:
        for step in steps:
            logits = step(None, logits)  # the first argument, the text so far, is read by none of them
        return logits

    return shaped


def row_uniforms(seed: int, rows: Sequence[int], steps: int) -> Tensor:
    """Random numbers in [0, 1), one per row and step: (B, steps), float32, on the CPU.

    A row's numbers depend on `seed` and on the row's own number only, not on its neighbours in a batch, so
    that batching never changes what is sampled.
    """
    keys = (np.array([seed % 2**64, row], dtype=np.uint64) for row in rows)
    streams = [np.random.Generator(np.random.Philox(key=key)) for key in keys]
    return torch.from_numpy(np.stack([stream.random(steps, dtype=np.float32) for stream in streams]))


class NotFinite(RuntimeError):
    """A model's logits hold NaN, so that no token can be chosen: weights are broken."""

    def __init__(self) -> None:
        super().__init__("the model's next tokens have no probabilities (NaN): its weights are broken")


def likeliest(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Token ids and their log-probabilities. (B, V) -> both (B,)

    Raises:
        NotFinite: logits hold NaN.
    """
    highest, chosen = logits.max(dim=-1)
    if highest.isnan().any():
        raise NotFinite
    return chosen, highest - logits.logsumexp(dim=-1)


def draw(logits: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Sample from softmax(logits) by inverting its distribution function.

    Args:
        logits: unnormalised log-probabilities, -inf where a token is excluded. (B, V)
        uniforms: one number in [0, 1) per row. (B,)

    Returns:
        Token ids, and their log-probabilities in float64. Both (B,)

    Raises:
        NotFinite: logits hold NaN.
    """
    # Double precision: summing a large vocabulary in single precision would misplace the last tokens.
    probabilities = torch.softmax(logits.double(), dim=-1)
    cumulative = probabilities.cumsum(dim=-1)
    if cumulative[:, -1].isnan().any():
        raise NotFinite
    threshold = uniforms.to(cumulative) * cumulative[:, -1]
    drawn = torch.searchsorted(cumulative, threshold[:, None], right=True)
    return drawn[:, 0], probabilities.gather(1, drawn)[:, 0].log()
