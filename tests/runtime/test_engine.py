"""One optimiser step: clipped once, on the gradient of all microbatches, by a norm that is told before."""

import pytest
import torch
from torch import nn

from align.runtime.engine import Engine


def engine(max_grad_norm: float) -> Engine:
    torch.manual_seed(0)
    return Engine(
        nn.Linear(3, 2), lambda weights: torch.optim.SGD(weights, lr=1.0), max_grad_norm=max_grad_norm
    )


def stepped(trained: Engine, factors: list[float], share: float = 1.0) -> tuple[torch.Tensor, float]:
    """How far one step over microbatches moved the weights, and the norm that it tells."""
    before = [weight.detach().clone() for weight in trained.module.parameters()]
    for number, factor in enumerate(factors, start=1):
        with trained.microbatch(is_last=number == len(factors)):
            trained.backward(factor * trained(torch.ones(4, 3)).square().sum())
    step = trained.step(share)
    assert step.taken
    moved = [old - weight for old, weight in zip(before, trained.module.parameters(), strict=True)]
    return torch.cat([part.flatten() for part in moved]).detach(), step.grad_norm


@pytest.mark.parametrize("factors", [[1.0], [0.5, -1.0, 1.5]])
def test_the_gradient_of_all_microbatches_is_clipped_once(factors: list[float]) -> None:
    """trl#3961, and its v2 loop, which ignored max_grad_norm."""
    whole, norm = stepped(engine(1e9), factors)
    assert whole.norm().item() == pytest.approx(norm, rel=1e-5) and norm > 0.5
    clipped, told = stepped(engine(0.25), factors)
    assert told == pytest.approx(norm, rel=1e-5), "before clipping"
    torch.testing.assert_close(clipped, 0.25 * whole / norm, rtol=1e-4, atol=1e-7)


def test_the_rate_is_a_share_of_its_peak_and_no_gradient_stays() -> None:
    trained = engine(1e9)
    half, norm = stepped(trained, [1.0], share=0.5)
    assert half.norm().item() == pytest.approx(0.5 * norm, rel=1e-5)
    assert all(weight.grad is None for weight in trained.module.parameters())
