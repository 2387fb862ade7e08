"""Shaping: raw score of a completion + its length + how it ended -> the score that enters the reward.

In this order: normalise, clip, take off for length, judge a completion that did not end. The raw score is
left as it was, for the logs.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from align.ppo.advantage import widened

MissingEos = Literal["none", "replace", "subtract"]


@dataclass(frozen=True)
class Shaping:
    """What is done to a score; as it stands, nothing.

    Attributes:
        mean: of the reward model's scores on demonstrations.
        deviation: standard deviation of the same.
        clip: largest absolute score; None leaves it open.
        max_new_tokens: longest completion that generation allows.
        overlong_buffer: the last tokens before that limit, which cost score; None for none.
        overlong_factor: what a completion at the limit loses.
        missing_eos: what becomes of the score of a completion that was cut off.
        missing_eos_value: the score in its place (replace), or what it loses (subtract).

    Raises:
        ValueError: a value out of range, named as above.
    """

    mean: float = 0.0
    deviation: float = 1.0
    clip: float | None = None
    max_new_tokens: int = 0
    overlong_buffer: int | None = None
    overlong_factor: float = 1.0
    missing_eos: MissingEos = "none"
    missing_eos_value: float = 0.0

    def __post_init__(self) -> None:
        if not self.deviation > 0:
            raise ValueError(f"deviation must be positive, not {self.deviation}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be positive or null, not {self.clip}")
        if self.overlong_buffer is not None and not 0 < self.overlong_buffer <= self.max_new_tokens:
            raise ValueError(
                f"overlong_buffer must be between 1 and max_new_tokens ({self.max_new_tokens}), "
                f"not {self.overlong_buffer}"
            )
        if self.missing_eos not in ("none", "replace", "subtract"):
            raise ValueError(f"missing_eos must be none, replace or subtract, not {self.missing_eos}")
        if self.missing_eos == "subtract" and not self.missing_eos_value > 0:
            raise ValueError(
                f"missing_eos_value is subtracted and must be positive, not {self.missing_eos_value}"
            )


def normalised(score: torch.Tensor, mean: float, deviation: float) -> torch.Tensor:
    """Scores with what is usual taken as 0 and its standard deviation as 1. (B,)"""
    return (widened(score) - mean) / deviation


def clipped(score: torch.Tensor, clip: float | None) -> torch.Tensor:
    """Scores within +-clip. (B,)"""
    return score if clip is None else score.clamp(-clip, clip)


def overlong_penalty(
    lengths: torch.Tensor, max_new_tokens: int, overlong_buffer: int, overlong_factor: float
) -> torch.Tensor:
    """What completions lose for length: 0 before the buffer, rising to the factor at the limit. (B,) float64

    Args:
        lengths: generated tokens per completion. (B,)
        max_new_tokens: the limit.
        overlong_buffer: tokens before the limit over which the penalty rises.
        overlong_factor: penalty at the limit.

    Source: Yu et al. 2025 (DAPO), arXiv:2503.14476, eq. 13.
    """
    excess = (lengths.double() - (max_new_tokens - overlong_buffer)).clamp(0, overlong_buffer)
    return overlong_factor * excess / overlong_buffer


def with_missing_eos(
    score: torch.Tensor, ended: torch.Tensor, missing_eos: MissingEos, value: float
) -> torch.Tensor:
    """Scores in which a completion that was cut off has another one. (B,)

    Args:
        score: (B,)
        ended: True where a stop token ended the completion. (B,)
        missing_eos: none leaves the score, replace puts the value there, subtract takes the value off.
        value: see above.
    """
    if missing_eos == "none":
        return score
    return torch.where(ended, score, value if missing_eos == "replace" else score - value)


def shaped_scores(
    score: torch.Tensor, lengths: torch.Tensor, ended: torch.Tensor, shaping: Shaping
) -> torch.Tensor:
    """The score that each completion brings into its reward. (B,)

    Args:
        score: as the reward source gave it. (B,)
        lengths: generated tokens per completion. (B,)
        ended: True where a stop token ended the completion, False where it was cut off. (B,)
        shaping: what to do.
    """
    shaped = clipped(normalised(score, shaping.mean, shaping.deviation), shaping.clip)
    if shaping.overlong_buffer is not None:
        shaped = shaped - overlong_penalty(
            lengths, shaping.max_new_tokens, shaping.overlong_buffer, shaping.overlong_factor
        ).to(shaped.dtype)
    return with_missing_eos(shaped, ended, shaping.missing_eos, shaping.missing_eos_value)
