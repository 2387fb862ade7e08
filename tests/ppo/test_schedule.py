"""Learning rates step by step: T9, the curve ends where it should whatever happens in between."""

import pytest
import torch

from align.ppo.schedule import Schedule, share
from align.ppo.spec import OptimizerSpec


def test_the_rate_rises_then_falls_to_its_final_share() -> None:
    optimizer = OptimizerSpec(learning_rate=1e-3, warmup=0.2, final=0.1)
    curve = [share(optimizer, step, 20) for step in range(20)]
    assert curve[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert curve[-1] == pytest.approx(0.1)
    assert all(one > other for one, other in zip(curve[4:], curve[5:], strict=False))


def test_it_can_fall_along_a_cosine_or_stay() -> None:
    """As torch's own scheduler has it, step by step."""
    optimizer = OptimizerSpec(learning_rate=2e-3, final=0.1, decay="cosine")
    theirs = torch.optim.SGD([torch.zeros(1)], lr=2e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, T_max=19, eta_min=2e-4)
    for step in range(20):
        assert 2e-3 * share(optimizer, step, 20) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        theirs.step()
        scheduler.step()
    kept = OptimizerSpec(learning_rate=2e-3, final=1.0, warmup=0.1)
    assert [share(kept, step, 20) for step in range(2, 20)] == [1.0] * 18


def test_updates_have_their_steps_and_the_policy_may_wait() -> None:
    flat = OptimizerSpec(learning_rate=1e-3, final=0.0)
    schedule = Schedule(updates=4, steps_per_update=3, policy=flat, value=flat, value_warmup_updates=1)
    shares = [schedule.shares(update) for update in range(4)]
    assert [policy for policy, _ in shares[0]] == [None] * 3
    assert [len(steps) for steps in shares] == [3] * 4
    assert shares[1][0][0] == 1.0 and shares[0][0][1] == 1.0
    assert shares[3][2] == (0.0, 0.0)
