"""Losses and their statistics against golden numbers and one token at a time."""

import math

import pytest
import torch

from align.ppo.kl import k1, k2, k3
from align.ppo.loss import (
    approx_kl,
    explained_variance,
    importance_weights,
    policy_loss,
    value_loss,
)
from tests.ppo.conftest import GOLDEN, Draw, Total, over_processes, same

POLICY, VALUE = GOLDEN["policy_loss"], GOLDEN["value_loss"]


def golden_policy(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities, old ones and advantages of six tokens. (1, 6) each"""
    inputs = POLICY["inputs"]
    ratio, old, advantages = (
        torch.tensor([inputs[name]], dtype=torch.float64) for name in ("ratio", "old_logp", "adv")
    )
    return ratio.log().to(dtype).requires_grad_(), old.to(dtype), advantages.to(dtype)


def test_policy_losses_give_the_golden_numbers(precision: tuple[torch.dtype, float]) -> None:
    """T1: clip, clip-higher, dual clip, and the gradient, which is 0 where the clip holds."""
    dtype, atol = precision
    logprobs, old, advantages = golden_policy(dtype)
    outputs = POLICY["outputs"]

    found = policy_loss(logprobs, old, advantages, 0.2, 0.2)
    (gradient,) = torch.autograd.grad(found.per_token.sum(), logprobs)
    assert found.per_token.dtype == found.ratio.dtype == dtype and found.clipped.dtype == torch.bool
    same(found.per_token, [outputs["per_token"]], atol)
    same(found.per_token.mean(), outputs["mean"], atol)
    same(found.ratio, [POLICY["inputs"]["ratio"]], atol)
    same(found.clipped.double().mean(), outputs["clipfrac"], 1e-12)
    same(gradient, [outputs["grad_wrt_logp"]], atol)
    same(policy_loss(logprobs, old, advantages, 0.2, 0.28).per_token, [outputs["clip_higher"]], atol)

    dual = policy_loss(logprobs, old, advantages, 0.2, 0.2, dual_clip=3.0).per_token
    same(dual, [outputs["dual"]], atol)
    assert torch.autograd.grad(dual.sum(), logprobs)[0][0, 5] == 0


def test_importance_weights_give_the_golden_numbers(precision: tuple[torch.dtype, float]) -> None:
    """T1, T17: the weight multiplies the loss, has no gradient, and is at most its cap."""
    dtype, atol = precision
    logprobs, old, advantages = golden_policy(dtype)
    difference = torch.tensor([POLICY["inputs"]["logp_train_minus_rollout"]], dtype=dtype)
    cap = POLICY["inputs"]["tis_cap"]

    weights = importance_weights(logprobs, logprobs.detach() - difference, cap)

    assert weights.dtype == dtype and not weights.requires_grad
    same(weights, [POLICY["outputs"]["tis_weights"]], atol)
    found = policy_loss(logprobs, old, advantages, 0.2, 0.2, weights=weights).per_token
    same(found, [POLICY["outputs"]["tis_per_token"]], atol)


def test_approximate_kl_gives_the_golden_numbers(precision: tuple[torch.dtype, float]) -> None:
    """T1: k1 and k2 as well, sampled from the old policy."""
    dtype, atol = precision
    logprobs, old, _ = golden_policy(dtype)
    outputs = POLICY["outputs"]
    everything = torch.ones_like(old).bool()
    same(k1(old, logprobs).mean(), outputs["approx_kl_k1"], atol)
    same(k2(old, logprobs).mean(), outputs["approx_kl_k2"], atol)
    assert approx_kl(logprobs, old, everything) == pytest.approx(outputs["approx_kl_k3"], abs=atol)


def test_value_losses_give_the_golden_numbers(precision: tuple[torch.dtype, float]) -> None:
    """T1."""
    dtype, atol = precision
    values, old, returns = (torch.tensor([VALUE["inputs"][n]], dtype=dtype) for n in ("v", "v_old", "ret"))
    outputs = VALUE["outputs"]

    found = value_loss(values, old, returns, VALUE["inputs"]["eps"])
    assert found.per_token.dtype == dtype and found.clipped.dtype == torch.bool
    same(found.per_token, [outputs["per_token"]], atol)
    same(found.clipped.double().mean(), outputs["clipfrac"], 1e-12)
    free = value_loss(values, old, returns, None)
    same(free.per_token.mean(), outputs["unclipped_mean"], atol)
    assert not free.clipped.any()
    everything = torch.ones_like(values).bool()
    assert explained_variance(values, returns, everything) == pytest.approx(
        outputs["explained_variance"], abs=atol
    )


@pytest.mark.parametrize("dual_clip", [None, 1.5])
def test_policy_losses_are_the_formula_token_by_token(
    dual_clip: float | None, mask: torch.Tensor, draw: Draw
) -> None:
    """T1: Schulman et al. 2017, eq. 7, with the gradient by hand: -A w ratio, or 0 where a clip holds."""
    logprobs, old, advantages, weights = draw().requires_grad_(), draw(), draw(), draw().exp()

    found = policy_loss(logprobs, old, advantages, 0.3, 0.4, dual_clip, weights, mask)
    (gradient,) = torch.autograd.grad(found.per_token.sum(), logprobs)

    for row, column in mask.nonzero().tolist():
        a, w = advantages[row, column].item(), weights[row, column].item()
        ratio = math.exp(logprobs[row, column].item() - old[row, column].item())
        clipped = ratio > 1.4 if a > 0 else ratio < 0.7
        loss = -a * min(max(ratio, 0.7), 1.4) if clipped else -a * ratio
        is_flat = clipped
        if dual_clip is not None and a < 0 and loss > -dual_clip * a:
            loss, is_flat = -dual_clip * a, True
        assert found.per_token[row, column].item() == pytest.approx(w * loss, rel=1e-12)
        assert found.ratio[row, column].item() == pytest.approx(ratio, rel=1e-12)
        assert found.clipped[row, column].item() == clipped
        slope = 0 if is_flat else -a * w * ratio
        assert gradient[row, column].item() == pytest.approx(slope, rel=1e-12)
    assert not found.per_token[~mask].any() and not found.ratio[~mask].any()
    assert not found.clipped[~mask].any() and not gradient[~mask].any()


@pytest.mark.parametrize("clip", [None, 0.3])
def test_value_losses_are_the_formula_token_by_token(
    clip: float | None, mask: torch.Tensor, draw: Draw
) -> None:
    """T1, T16: with the gradient by hand."""
    values, old, returns = draw().requires_grad_(), draw(), draw()

    found = value_loss(values, old, returns, clip, mask)
    (gradient,) = torch.autograd.grad(found.per_token.sum(), values)

    for row, column in mask.nonzero().tolist():
        v, o, r = (tensor[row, column].item() for tensor in (values, old, returns))
        near = v if clip is None else min(max(v, o - clip), o + clip)
        clipped = abs(near - r) > abs(v - r)
        assert found.per_token[row, column].item() == pytest.approx(
            max((v - r) ** 2, (near - r) ** 2) / 2, abs=1e-12
        )
        assert found.clipped[row, column].item() == clipped
        assert gradient[row, column].item() == pytest.approx(0 if clipped else v - r, abs=1e-12)
    assert not found.per_token[~mask].any() and not found.clipped[~mask].any() and not gradient[~mask].any()


def test_only_the_trained_side_has_a_gradient(mask: torch.Tensor, draw: Draw) -> None:
    """Guards against an advantage, an old log-probability or a return that was not detached."""
    given = [draw().requires_grad_() for _ in range(4)]
    policy_loss(*given[:3], 0.2, 0.2, weights=given[3], mask=mask).per_token.sum().backward()
    assert [tensor.grad is not None for tensor in given] == [True, False, False, False]
    given = [draw().requires_grad_() for _ in range(3)]
    value_loss(*given, 0.2, mask).per_token.sum().backward()
    assert [tensor.grad is not None for tensor in given] == [True, False, False]


def test_without_noise_the_weights_change_nothing(mask: torch.Tensor, draw: Draw) -> None:
    """T17: sampler == trainer gives the same loss bit by bit; noise stays below the cap and above 0."""
    logprobs, old, advantages = draw(), draw(), draw()
    weights = importance_weights(old, old, 2.0, mask)
    plain = policy_loss(logprobs, old, advantages, 0.2, 0.2, mask=mask).per_token
    weighted = policy_loss(logprobs, old, advantages, 0.2, 0.2, weights=weights, mask=mask).per_token
    assert torch.equal(plain, weighted)

    sampler = old + draw()
    noisy = importance_weights(old, sampler, 2.0, mask)
    for row, column in mask.nonzero().tolist():
        ratio = math.exp(old[row, column].item() - sampler[row, column].item())
        assert noisy[row, column].item() == pytest.approx(min(ratio, 2.0), rel=1e-12)
    assert not noisy[~mask].any() and noisy.max() == 2.0


def test_ratios_do_not_overflow() -> None:
    """PPO.md 1.6, 1.8: the log-ratio is clamped to +-20."""
    far = torch.tensor([[500.0, -500.0]])
    found = policy_loss(far, torch.zeros_like(far), torch.ones_like(far), 0.2, 0.2)
    assert found.ratio[0].tolist() == pytest.approx([math.exp(20), math.exp(-20)], rel=1e-6)
    weights = importance_weights(far, torch.zeros_like(far), 1e30)
    assert weights[0].tolist() == pytest.approx([math.exp(20), math.exp(-20)], rel=1e-6)


def test_nothing_has_moved_before_the_first_step(mask: torch.Tensor, draw: Draw) -> None:
    """T2: ratio 1, nothing clipped, approximate KL at most 1e-9 with float32 noise of 1e-5."""
    old = draw().float()
    exact = policy_loss(old, old, draw().float(), 0.2, 0.2, mask=mask)
    assert (exact.ratio[mask] == 1).all() and not exact.clipped.any()
    assert 0 <= approx_kl(old + 1e-5 * draw().float(), old, mask) <= 1e-9


def test_half_precision_is_widened() -> None:
    logprobs = torch.tensor([[-1.0, -2.0]], dtype=torch.bfloat16, requires_grad=True)
    found = policy_loss(logprobs, torch.tensor([[-1.1, -2.1]]), torch.ones(1, 2), 0.2, 0.2)
    assert found.per_token.dtype == torch.float32
    assert value_loss(logprobs, logprobs, logprobs, 0.2).per_token.dtype == torch.float32


def test_a_dual_clip_that_cuts_ordinary_updates_is_refused() -> None:
    tokens = torch.zeros(1, 2)
    with pytest.raises(ValueError, match="dual_clip"):
        policy_loss(tokens, tokens, tokens, 0.2, 0.2, dual_clip=1.0)


def test_statistics_are_over_all_processes_and_real_tokens(mask: torch.Tensor, draw: Draw) -> None:
    """PPO.md decision 4, T18: the same number on every process, as from one list of real tokens."""
    new, old = draw(), draw()
    d = (old - new)[mask].tolist()
    kl = sum(math.exp(-x) - 1 + x for x in d) / len(d)
    residual, returns = (old - new)[mask].numpy(), old[mask].numpy()
    for processes in (1, 2, 4):
        rows = torch.arange(8).chunk(processes)

        def kl_of(process: int, total: Total, rows: tuple = rows) -> torch.Tensor:
            at = rows[process]
            return torch.tensor(approx_kl(new[at], old[at], mask[at], total), dtype=torch.float64)

        def explained_by(process: int, total: Total, rows: tuple = rows) -> torch.Tensor:
            at = rows[process]
            return torch.tensor(explained_variance(new[at], old[at], mask[at], total), dtype=torch.float64)

        same(torch.stack(over_processes(kl_of, processes)), [kl] * processes, 1e-12)
        explained = 1 - residual.var() / returns.var()
        same(torch.stack(over_processes(explained_by, processes)), [explained] * processes, 1e-12)
    assert k3(old, new)[mask].mean().item() == pytest.approx(kl)


def test_variance_is_explained_in_full_or_not_at_all(mask: torch.Tensor, draw: Draw) -> None:
    """T16: also where there is nothing to explain, which must not be NaN in the metrics."""
    returns = draw()
    assert explained_variance(returns + 3, returns, mask) == pytest.approx(1)
    assert explained_variance(torch.zeros_like(returns), returns, mask) == pytest.approx(0)
    assert explained_variance(returns, torch.zeros_like(returns), mask) == 0
    assert explained_variance(returns, returns, torch.zeros_like(mask)) == 0
    assert approx_kl(returns, draw(), torch.zeros_like(mask)) == 0
