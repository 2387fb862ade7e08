"""KL: log-probabilities of policy and reference -> per-token estimates; and the coefficient of the penalty.

With d = log policy - log reference on a token that the policy sampled, k1 = d, k2 = d^2 / 2 and
k3 = exp(-d) - 1 + d. In the reward, where they carry no gradient, only k1 pulls along the gradient of
KL(policy || reference); as a term of the loss only k2 does.

Source: Schulman 2020, joschu.net/blog/kl-approx.html; Ziegler et al. 2019, arXiv:1909.08593, section 2.2.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from align.ppo.advantage import masked, widened

Estimator = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
LARGEST_LOG_RATIO = 20.0


def k1(logprobs: torch.Tensor, reference_logprobs: torch.Tensor) -> torch.Tensor:
    """The log-ratio: unbiased, of either sign, in nats. (B, T)"""
    return widened(logprobs) - widened(reference_logprobs)


def k2(logprobs: torch.Tensor, reference_logprobs: torch.Tensor) -> torch.Tensor:
    """Half the squared log-ratio: biased, never negative, in nats. (B, T)"""
    return 0.5 * k1(logprobs, reference_logprobs).square()


def k3(logprobs: torch.Tensor, reference_logprobs: torch.Tensor) -> torch.Tensor:
    """exp(-d) - 1 + d: unbiased, never negative, in nats; d is clamped to +-20. (B, T)"""
    log_ratio = k1(logprobs, reference_logprobs).clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
    return torch.expm1(-log_ratio) + log_ratio


ESTIMATORS: Mapping[str, Estimator] = {"k1": k1, "k2": k2, "k3": k3}


def token_kl(
    logprobs: torch.Tensor, reference_logprobs: torch.Tensor, mask: torch.Tensor, estimator: str = "k1"
) -> torch.Tensor:
    """Estimate of KL(policy || reference) on every completion token, zero where the mask is False. (B, T)

    Args:
        logprobs: of the policy, which sampled the tokens. (B, T)
        reference_logprobs: of the reference for the same tokens. (B, T)
        mask: True on real completion tokens. (B, T)
        estimator: a key of `ESTIMATORS`.
    """
    return ESTIMATORS[estimator](masked(logprobs, mask), masked(reference_logprobs, mask))


class Controller(Protocol):
    """Decides the weight of the KL penalty from one rollout batch to the next."""

    coefficient: float

    def update(self, kl: float, sequences: int) -> None:
        """Take in what the last rollout batch measured, once, after its optimiser steps."""
        ...

    def state(self) -> dict[str, float]:
        """What a checkpoint must hold."""
        ...

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from what `state` returned."""
        ...


@dataclass
class FixedKl:
    """A coefficient that stays what it is."""

    coefficient: float

    def update(self, kl: float, sequences: int) -> None:
        """Nothing depends on what was measured."""

    def state(self) -> dict[str, float]:
        """What a checkpoint must hold."""
        return {"coefficient": self.coefficient}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from what `state` returned."""
        self.coefficient = state["coefficient"]


@dataclass
class AdaptiveKl:
    """A coefficient that rises while the KL is above its target, and falls while it is below.

    Attributes:
        coefficient: weight of the penalty for the next rollout batch.
        target: KL per completion, summed over its tokens, in nats.
        horizon: sequences over which the coefficient changes by at most a fifth.
        lowest: the coefficient never falls below.
        highest: the coefficient never rises above.

    Raises:
        ValueError: target or horizon is not positive, or the bounds leave out the coefficient.

    Source: Ziegler et al. 2019, arXiv:1909.08593, section 2.2.
    """

    coefficient: float
    target: float
    horizon: float
    lowest: float = 0.0
    highest: float = math.inf

    def __post_init__(self) -> None:
        for name, value in (("target", self.target), ("horizon", self.horizon)):
            if not value > 0:
                raise ValueError(f"adaptive KL: {name} must be positive, not {value}")
        if not self.lowest <= self.coefficient <= self.highest:
            raise ValueError(
                f"adaptive KL: the coefficient {self.coefficient} is not between lowest ({self.lowest}) "
                f"and highest ({self.highest})"
            )

    def update(self, kl: float, sequences: int) -> None:
        """Move the coefficient once, after the optimiser steps of a rollout batch.

        Args:
            kl: mean over the sequences of all processes of k1 summed over tokens. NaN changes nothing.
            sequences: how many, over all processes.
        """
        if math.isnan(kl):
            return
        error = min(max(kl / self.target - 1, -0.2), 0.2)
        moved = self.coefficient * (1 + error * sequences / self.horizon)
        self.coefficient = min(max(moved, self.lowest), self.highest)

    def state(self) -> dict[str, float]:
        """What a checkpoint must hold."""
        return {"coefficient": self.coefficient}

    def restore(self, state: Mapping[str, float]) -> None:
        """Go on from what `state` returned."""
        self.coefficient = state["coefficient"]
