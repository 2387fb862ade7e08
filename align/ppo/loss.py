"""Losses: new and old log-probabilities, values, advantages, returns -> clipped losses and their statistics.

Per-token losses are (B, T); `aggregate` adds them up over one normaliser that holds for all microbatches and
processes of an optimiser step, so that neither how rows are split nor padding changes the gradient.

Source: Schulman et al. 2017, arXiv:1707.06347.
"""

from typing import Literal, NamedTuple

import torch

from align.ppo.advantage import Total, local, masked, masked_mean, moments
from align.ppo.kl import LARGEST_LOG_RATIO, k3

Aggregation = Literal["token_mean", "seq_mean_token_mean", "seq_mean_token_sum_norm"]


class PolicyLoss(NamedTuple):
    """Of every token, zero or False where the mask is False.

    Attributes:
        per_token: what to minimise. (B, T)
        ratio: new over old probability, without gradient. (B, T)
        clipped: True where the clipped branch is the active one. (B, T)
    """

    per_token: torch.Tensor
    ratio: torch.Tensor
    clipped: torch.Tensor


class ValueLoss(NamedTuple):
    """Of every token, zero or False where the mask is False.

    Attributes:
        per_token: what to minimise. (B, T)
        clipped: True where the clipped branch is the active one. (B, T)
    """

    per_token: torch.Tensor
    clipped: torch.Tensor


def _or_all(mask: torch.Tensor | None, tensor: torch.Tensor) -> torch.Tensor:
    """The mask, or one that is True everywhere. (B, T)"""
    return torch.ones_like(tensor, dtype=torch.bool) if mask is None else mask


def _probability_ratio(numerator: torch.Tensor, denominator: torch.Tensor) -> torch.Tensor:
    """exp of the difference of two log-probabilities, which is clamped to +-20. (B, T)"""
    return (numerator - denominator).clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO).exp()


def importance_weights(
    old_logprobs: torch.Tensor,
    sampler_logprobs: torch.Tensor,
    cap: float,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """How much likelier a token is to the training stack than to the engine that sampled it. (B, T)

    Args:
        old_logprobs: recomputed by the training stack before the first update. (B, T)
        sampler_logprobs: recorded by the generation engine. (B, T)
        cap: largest weight.
        mask: True on tokens the policy chose; None: on all. Weights are 0 elsewhere. (B, T)

    Returns:
        min(exp(old - sampler), cap), without gradient. (B, T)

    Source: Yao et al. 2025, truncated importance sampling, fengyao.notion.site/off-policy-rl.
    """
    mask = _or_all(mask, old_logprobs)
    ratio = _probability_ratio(masked(old_logprobs, mask), masked(sampler_logprobs, mask))
    return masked(ratio.clamp(max=cap), mask).detach()


def policy_loss(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    advantages: torch.Tensor,
    clip_range_low: float,
    clip_range_high: float,
    dual_clip: float | None = None,
    weights: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
) -> PolicyLoss:
    """Clipped surrogate loss of every token; only `logprobs` receives a gradient.

    Args:
        logprobs: of the policy being trained. (B, T)
        old_logprobs: of the policy that sampled, by the same stack. (B, T)
        advantages: whitened or not. (B, T)
        clip_range_low: the ratio gains nothing below 1 - clip_range_low.
        clip_range_high: the ratio gains nothing above 1 + clip_range_high.
        dual_clip: where the advantage is negative the loss is at most this many times its size; None for
            no such limit.
        weights: factor of each token's loss, as from `importance_weights`. (B, T)
        mask: True on tokens the policy chose; what any tensor holds elsewhere has no influence, NaN
            included. None: all tokens count. (B, T)

    Raises:
        ValueError: dual_clip is not above 1.

    Source: Schulman et al. 2017, arXiv:1707.06347, eq. 7; dual clip: Ye et al. 2020, arXiv:1912.09729.
    """
    if dual_clip is not None and not dual_clip > 1:
        raise ValueError(f"dual_clip must be above 1, not {dual_clip}")
    mask = _or_all(mask, logprobs)
    advantages = masked(advantages, mask).detach()
    ratio = _probability_ratio(masked(logprobs, mask), masked(old_logprobs, mask).detach())
    plain = -advantages * ratio
    limited = -advantages * ratio.clamp(1 - clip_range_low, 1 + clip_range_high)
    loss = torch.maximum(plain, limited)
    if dual_clip is not None:
        loss = torch.where(advantages < 0, torch.minimum(loss, -dual_clip * advantages), loss)
    if weights is not None:
        loss = loss * masked(weights, mask).detach()
    return PolicyLoss(masked(loss, mask), masked(ratio.detach(), mask), mask & (limited > plain))


def value_loss(
    values: torch.Tensor,
    old_values: torch.Tensor,
    returns: torch.Tensor,
    value_clip_range: float | None,
    mask: torch.Tensor | None = None,
) -> ValueLoss:
    """Half the squared error of every value, the worse of clipped and not; only `values` has a gradient.

    Args:
        values: of the value model being trained. (B, T)
        old_values: its estimates when the rollout was made. (B, T)
        returns: what to predict. (B, T)
        value_clip_range: how far a value may gain by leaving its old estimate; None for no limit.
        mask: True on tokens the policy chose; what any tensor holds elsewhere has no influence, NaN
            included. None: all tokens count. (B, T)

    Source: Huang et al. 2024, arXiv:2403.17031, detail on value clipping.
    """
    mask = _or_all(mask, values)
    values, returns = masked(values, mask), masked(returns, mask).detach()
    plain = (values - returns).square()
    if value_clip_range is None:
        return ValueLoss(0.5 * plain, torch.zeros_like(mask))
    old_values = masked(old_values, mask).detach()
    near = torch.clamp(values, old_values - value_clip_range, old_values + value_clip_range)
    limited = (near - returns).square()
    return ValueLoss(0.5 * torch.maximum(plain, limited), mask & (limited > plain))


def normaliser(mask: torch.Tensor, how: Aggregation, max_new_tokens: int) -> torch.Tensor:
    """This process's share of what the losses of one optimiser step are divided by. () int64

    Its total over the processes is the `count` of every `aggregate` in that step. A row without a real
    token is no sequence.

    Args:
        mask: True on tokens that count, for all this process's rows of the step. (B, T)
        how: see `aggregate`.
        max_new_tokens: longest completion that generation allows; only seq_mean_token_sum_norm uses it.
    """
    if how == "token_mean":
        return mask.sum()
    sequences = mask.any(dim=1).sum()
    return sequences if how == "seq_mean_token_mean" else sequences * max_new_tokens


def aggregate(
    per_token: torch.Tensor, mask: torch.Tensor, how: Aggregation, count: torch.Tensor | float
) -> torch.Tensor:
    """One microbatch's part of the loss: parts add up over microbatches and processes. ()

    Where gradients are averaged over processes, the caller multiplies by their number.

    Args:
        per_token: losses. (B, T)
        mask: True on tokens that count. (B, T)
        how: token_mean: every token weighs the same. seq_mean_token_mean: every sequence weighs the same.
            seq_mean_token_sum_norm: every token weighs the same, over a count that no length changes.
        count: total of `normaliser` over all processes and microbatches of the step; 0 is taken as 1.
    """
    tokens = masked(per_token, mask)
    if how == "seq_mean_token_mean":
        tokens = tokens / mask.sum(dim=1, keepdim=True).clamp(min=1)
    return tokens.sum() / torch.as_tensor(count, dtype=tokens.dtype, device=tokens.device).clamp(min=1)


@torch.no_grad()
def approx_kl(
    logprobs: torch.Tensor, old_logprobs: torch.Tensor, mask: torch.Tensor, total: Total = local
) -> float:
    """Mean per token of k3 for KL(old || new), in nats: how far the updates have gone.

    Args:
        logprobs: of the policy being trained. (B, T)
        old_logprobs: of the policy that sampled. (B, T)
        mask: True on tokens the policy chose. (B, T)
        total: sums a tensor over all processes.
    """
    return masked_mean(k3(masked(old_logprobs, mask), masked(logprobs, mask)), mask, total).item()


@torch.no_grad()
def explained_variance(
    values: torch.Tensor, returns: torch.Tensor, mask: torch.Tensor, total: Total = local
) -> float:
    """1 - Var(returns - values) / Var(returns); 0 where the returns do not vary.

    Args:
        values: estimates. (B, T)
        returns: what they estimate. (B, T)
        mask: True on tokens that count. (B, T)
        total: sums a tensor over all processes.
    """
    values, returns = masked(values, mask).double(), masked(returns, mask).double()
    _, unexplained = moments(returns - values, mask, total)
    _, variance = moments(returns, mask, total)
    return 1 - (unexplained / variance).item() if variance > 0 else 0.0
