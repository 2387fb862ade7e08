"""Schedule: the share of the peak learning rates at every optimiser step of a run."""

import math
from dataclasses import dataclass

from align.ppo.spec import OptimizerSpec


@dataclass(frozen=True)
class Schedule:
    """Counted in optimiser steps as planned: an update that stops early ends no schedule later.

    In the first `value_warmup_updates` only the value model learns.
    """

    updates: int
    steps_per_update: int
    policy: OptimizerSpec
    value: OptimizerSpec
    value_warmup_updates: int = 0

    def shares(self, update: int) -> list[tuple[float | None, float]]:
        """For every step of an update, the shares of the peak rates of policy and value; None: no step."""
        total = self.updates * self.steps_per_update
        held = self.value_warmup_updates * self.steps_per_update
        first = update * self.steps_per_update
        return [
            (
                share(self.policy, step - held, total - held) if step >= held else None,
                share(self.value, step, total),
            )
            for step in range(first, first + self.steps_per_update)
        ]


def share(optimizer: OptimizerSpec, step: int, total: int) -> float:
    """Linear warm-up, then decay to the `final` share in the last of `total` steps.

    Source of the cosine: Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, without restarts.
    """
    warmup = round(optimizer.warmup * total)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = min(1.0, (step - warmup) / max(1, total - 1 - warmup))
    if optimizer.decay == "cosine":
        done = (1 - math.cos(math.pi * done)) / 2
    return 1 - (1 - optimizer.final) * done
