"""Poisoned padding: what masked positions hold changes no bit of any result or gradient (T4)."""

from collections.abc import Callable

import pytest
import torch

from align.ppo.advantage import generalized_advantage, masked_mean, scale_only, token_rewards, whiten
from align.ppo.kl import ESTIMATORS, token_kl
from align.ppo.loss import (
    Aggregation,
    aggregate,
    approx_kl,
    explained_variance,
    importance_weights,
    normaliser,
    policy_loss,
    value_loss,
)
from tests.ppo.conftest import Draw

POISONS = (1e6, -1e6, torch.nan, torch.inf, -torch.inf)
HOWS: tuple[Aggregation, ...] = ("token_mean", "seq_mean_token_mean", "seq_mean_token_sum_norm")

Tensors = list[torch.Tensor]
Case = Callable[[Tensors, torch.Tensor], Tensors]


def run(case: Case, draws: Tensors, mask: torch.Tensor, poison: float, dtype: torch.dtype) -> Tensors:
    """Results of a case, and the gradients of their sum, with the poison where the mask is False."""
    given = [tensor.to(dtype).masked_fill(~mask, poison).requires_grad_() for tensor in draws]
    found = [tensor if tensor.is_floating_point() else tensor.double() for tensor in case(given, mask)]
    traced = [tensor.sum() for tensor in found if tensor.requires_grad]
    if traced:
        torch.stack(traced).sum().backward()
    return found + [tensor.grad for tensor in given if tensor.grad is not None]


def kl(given: Tensors, mask: torch.Tensor) -> Tensors:
    return [token_kl(given[0], given[1], mask, name) for name in ESTIMATORS]


def rewards(given: Tensors, mask: torch.Tensor) -> Tensors:
    return [token_rewards(given[0][:, 0], given[1], mask, 0.1)]


def advantages(given: Tensors, mask: torch.Tensor) -> Tensors:
    return [*generalized_advantage(given[0], given[1], mask, 0.9, 0.8)]


def whitening(given: Tensors, mask: torch.Tensor) -> Tensors:
    return [whiten(given[0], mask), scale_only(given[0], mask), masked_mean(given[0], mask)]


def losses(given: Tensors, mask: torch.Tensor) -> Tensors:
    logprobs, old, sampler, advantage, values, old_values, returns = given
    weights = importance_weights(old, sampler, 2.0, mask)
    policy = policy_loss(logprobs, old, advantage, 0.2, 0.28, 3.0, weights, mask)
    value = value_loss(values, old_values, returns, 0.2, mask)
    free = value_loss(values, old_values, returns, None, mask)
    tokens = policy.per_token + 0.1 * value.per_token + 0.1 * free.per_token
    sums = [aggregate(tokens, mask, how, normaliser(mask, how, 11)) for how in HOWS]
    return [*policy, *value, *free, weights, *sums]


def statistics(given: Tensors, mask: torch.Tensor) -> Tensors:
    return [
        torch.tensor(approx_kl(given[0], given[1], mask)),
        torch.tensor(explained_variance(given[0], given[1], mask)),
    ]


@pytest.mark.parametrize("case", [kl, rewards, advantages, whitening, losses, statistics])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_padding_has_no_influence(case: Case, dtype: torch.dtype, mask: torch.Tensor, draw: Draw) -> None:
    """T4: bit-equal results and gradients, the latter 0 on padding even where that holds NaN."""
    draws = [draw() for _ in range(7)]
    if case is not rewards:
        mask[0, 2:4] = False  # a hole
    clean = run(case, draws, mask, 0.0, dtype)
    assert len(clean) >= 1 and all(tensor.isfinite().all() for tensor in clean)
    for poison in POISONS:
        found = run(case, draws, mask, poison, dtype)
        assert len(found) == len(clean)
        for ours, theirs in zip(found, clean, strict=True):
            assert torch.equal(ours, theirs), poison
    for tensor in clean:
        if tensor.shape == mask.shape:
            assert not tensor[~mask].any()


def test_masking_only_the_results_would_leak() -> None:
    """T4 has teeth: zero times the NaN that a square leaves behind is NaN in the gradient."""
    mask = torch.tensor([[True, False]])
    values = torch.tensor([[1.0, torch.nan]], requires_grad=True)
    torch.where(mask, values.square(), 0.0).sum().backward()
    assert values.grad is not None and values.grad[0, 1].isnan()
