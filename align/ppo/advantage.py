"""Advantage: shaped scores + per-token KL + values -> advantages and returns of every completion token.

One mask, one polarity: True on a real completion token. It is made from lengths, so a sampled padding id or
an end-of-turn token in the prompt changes nothing.

Source: Schulman et al. 2016, arXiv:1506.02438; Ziegler et al. 2019, arXiv:1909.08593.
"""

from collections.abc import Callable

import torch

Total = Callable[[torch.Tensor], torch.Tensor]


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The total over all processes where there is but one."""
    return tensor


def widened(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in float32; float64 stays as it is."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def masked(tensor: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The tensor, widened, with zeros where the mask is False.

    What stood there reaches neither a value nor a gradient, not even as NaN, if this is done before any
    arithmetic: after it, zero times NaN would come back in the backward pass.
    """
    return torch.where(mask, widened(tensor), 0.0)


def completion_mask(lengths: torch.Tensor, width: int) -> torch.Tensor:
    """True on real completion tokens, the terminal one included. (B, T)

    Args:
        lengths: generated tokens per completion. (B,)
        width: T, the padded width.
    """
    return torch.arange(width, device=lengths.device) < lengths[:, None]


def token_rewards(
    score: torch.Tensor, kl: torch.Tensor, mask: torch.Tensor, kl_coefficient: float
) -> torch.Tensor:
    """Reward of each token: the KL penalty, and on the last generated token the score too. (B, T)

    Args:
        score: shaped score of each completion. (B,)
        kl: per-token estimate of the divergence from the reference in nats; k1, because as a reward the
            others have another gradient. (B, T)
        mask: True on tokens the policy chose; a row without any has no reward at all. (B, T)
        kl_coefficient: weight of the penalty.

    Source: Ziegler et al. 2019, arXiv:1909.08593, eq. 2, with the score on column n - 1.
    """
    tokens_left = mask.long().flip(1).cumsum(1).flip(1)
    is_last = mask & (tokens_left == 1)
    return masked(score[:, None], is_last) - kl_coefficient * masked(kl, mask)


@torch.no_grad()
def generalized_advantage(
    rewards: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    gamma: float,
    gae_lambda: float,
    bootstrap: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages and returns by generalized advantage estimation.

    Args:
        rewards: per-token reward, KL penalty included. (B, T)
        values: value estimate before each completion token. (B, T)
        mask: True on tokens the policy chose; may have holes (tool output). What rewards and values hold
            where it is False is ignored. (B, T)
        gamma: discount per token that the policy chose.
        gae_lambda: bias/variance trade-off; 1 gives Monte-Carlo returns, 0 one-step TD.
        bootstrap: value after the last token, 0 for completions that ended by themselves. None: 0 for all,
            since truncated completions are scored too. (B,)

    Returns:
        (advantages, returns), both (B, T), without gradient, and zero where mask is False.

    Source: Schulman et al. 2016, arXiv:1506.02438, eq. 16.
    """
    rewards, values = masked(rewards, mask), masked(values, mask)
    advantages = torch.zeros_like(rewards)
    carry = torch.zeros_like(rewards[:, 0])
    following = carry if bootstrap is None else bootstrap.to(rewards.dtype)
    for t in reversed(range(rewards.shape[1])):
        td_error = rewards[:, t] + gamma * following - values[:, t]
        step = td_error + gamma * gae_lambda * carry
        carry = torch.where(mask[:, t], step, carry)  # a hole in the mask carries the future past it
        following = torch.where(mask[:, t], values[:, t], following)
        advantages[:, t] = torch.where(mask[:, t], step, 0.0)
    return advantages, masked(advantages + values, mask)


def masked_mean(values: torch.Tensor, mask: torch.Tensor, total: Total = local) -> torch.Tensor:
    """Mean over the True positions of all processes, 0 if there are none. () float64

    Args:
        values: this process's. (B, T)
        mask: True where a value counts. (B, T)
        total: sums a tensor over all processes; called once.
    """
    sums = total(torch.stack([masked(values, mask).double().sum(), mask.sum().double()]))
    return sums[0] / sums[1].clamp(min=1)


def moments(
    values: torch.Tensor, mask: torch.Tensor, total: Total = local
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and population variance over the True positions of all processes. () each, float64

    Args:
        values: this process's. (B, T)
        mask: True where a value counts. (B, T)
        total: sums a tensor over all processes; called twice, so that the squares are of centred values.
    """
    mean = masked_mean(values, mask, total)
    return mean, masked_mean((masked(values, mask).double() - mean).square(), mask, total)


def _standardised(values: torch.Tensor, mask: torch.Tensor, total: Total, keep_mean: bool) -> torch.Tensor:
    """Deviations from the mean over their standard deviation, with or without the mean. (B, T)"""
    values = masked(values, mask)
    mean, variance = moments(values, mask, total)
    varies = variance > (1e-12 * mean).square()  # below that it is the rounding of the mean
    scaled = torch.where(varies, (values.double() - mean) * torch.rsqrt(variance + 1e-8), 0.0)
    return masked(scaled + mean if keep_mean else scaled, mask).to(values.dtype)


def whiten(values: torch.Tensor, mask: torch.Tensor, total: Total = local) -> torch.Tensor:
    """Values with mean 0 and variance 1 over the True positions of all processes; 0 elsewhere. (B, T)

    Values that are all the same become zeros.

    Args:
        values: of the whole rollout batch on this process. (B, T)
        mask: True where a value counts. (B, T)
        total: sums a tensor over all processes.

    Source: Huang et al. 2024, arXiv:2403.17031, detail on advantage whitening; population variance, + 1e-8.
    """
    return _standardised(values, mask, total, keep_mean=False)


def scale_only(values: torch.Tensor, mask: torch.Tensor, total: Total = local) -> torch.Tensor:
    """Values with variance 1 around the mean they had; 0 where the mask is False. (B, T)

    It is the deviations from the mean that are scaled: the mean comes out as it went in, and values that are
    all the same come out unchanged.

    Args:
        values: of the whole rollout batch on this process. (B, T)
        mask: True where a value counts. (B, T)
        total: sums a tensor over all processes.

    Source: Huang et al. 2024, arXiv:2403.17031, reward whitening (`shift_mean=False`).
    """
    return _standardised(values, mask, total, keep_mean=True)
