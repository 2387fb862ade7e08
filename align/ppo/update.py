"""Update: epochs x minibatches x microbatches over one rollout, one optimiser step per minibatch.

Source  Schulman et al. 2017, arXiv:1707.06347, §5
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from align.models.lanes import side_by_side
from align.ppo.advantage import masked
from align.ppo.imitation import Imitation
from align.ppo.kl import k3, token_kl
from align.ppo.loss import (
    Aggregation,
    aggregate,
    importance_weights,
    normaliser,
    policy_loss,
    value_loss,
)
from align.ppo.rollout import Experience, as_sequences, microbatches
from align.runtime import group, processes
from align.runtime.engine import Engine, Step

APPROX_KL = "policy/approx_kl"
POLICY_TOKENS, VALUE_TOKENS, PTX_TOKENS = "policy/tokens", "value/tokens", "ptx/tokens"
# (microbatch, what the model said, what sums are divided by, where they are kept) -> its share of the loss
LossOf = Callable[[Experience, Any, Tensor, "UpdateStats | None"], Tensor]


@dataclass(frozen=True, kw_only=True)
class UpdateSettings:
    """How one rollout is learnt from; fields as in the stage."""

    epochs: int
    minibatches: int
    clip_range_low: float
    clip_range_high: float
    value_clip_range: float | None
    dual_clip: float | None
    importance_cap: float | None
    stop_kl: float | None
    kl_in_loss: Literal["k2", "k3"] | None = None
    entropy_bonus: float | None = None
    aggregation: Aggregation
    max_new_tokens: int
    tokens: int
    rows: int | None = None


@dataclass
class UpdateStats:
    """Sums and maxima over the tokens of all minibatches of this process, and what the steps reported."""

    sums: dict[str, float] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)
    policy_steps: list[Step] = field(default_factory=list)
    value_steps: list[Step] = field(default_factory=list)
    is_stopped: bool = False

    def add(self, name: str, values: Tensor, mask: Tensor) -> None:
        """Add a quantity's sum over the tokens where `mask` is True."""
        self.sums[name] = self.sums.get(name, 0.0) + float(
            masked(values.detach(), mask).sum(dtype=torch.float64)
        )

    def top(self, name: str, values: Tensor, mask: Tensor) -> None:
        """Keep a quantity's largest value over the tokens where `mask` is True; it is not negative."""
        self.largest[name] = max(self.largest.get(name, 0.0), float(masked(values.detach(), mask).amax()))


class Updater:
    """Learns from one rollout after the other."""

    def __init__(
        self, policy: Engine, value: Engine, settings: UpdateSettings, imitation: Imitation | None = None
    ) -> None:
        self._policy = policy
        self._value = value
        self._settings = settings
        self._imitation = imitation

    def update(
        self,
        experience: Experience,
        shares: Sequence[tuple[float | None, float]],
        seed: tuple[int, ...],
        first_step: int = 0,
        kl_coefficient: float = 0.0,
    ) -> UpdateStats:
        """Take the optimiser steps of one rollout.

        Args:
            experience: this process's episodes.
            shares: for every step, the shares of the peak learning rates of policy and value; None: the
                policy stays as it is.
            seed: of the order in which episodes are gone through.
            first_step: optimiser steps of the run before this rollout, as planned.
            kl_coefficient: of the KL in the policy's loss, where settings have one there.
        """
        stats = UpdateStats()
        for number, rows in enumerate(self._minibatches(len(experience), seed)):
            if self._imitation is not None and shares[number][0] is not None:
                self._imitate(self._imitation, first_step + number, stats)
            approx_kl = self._step(experience, rows, shares[number], stats, kl_coefficient)
            limit = self._settings.stop_kl
            if limit is not None and approx_kl > limit:  # the same number on every process
                stats.is_stopped = True
                break
        return stats

    def _minibatches(self, episodes: int, seed: tuple[int, ...]) -> Iterator[Sequence[int]]:
        for epoch in range(self._settings.epochs):
            order = np.random.default_rng((*seed, epoch)).permutation(episodes)
            yield from (part.tolist() for part in np.array_split(order, self._settings.minibatches))

    def _imitate(self, imitation: Imitation, step: int, stats: UpdateStats) -> None:
        """Add the gradient of the demonstrations' likelihood; the optimiser step is PPO's."""
        settings, device = self._settings, self._policy.device
        batch = imitation.batch(step, processes.rank(), group.size())
        said = torch.tensor(sum(len(item.completion) for item in batch), dtype=torch.float64, device=device)
        count = group.total(said)
        parts = microbatches([*map(len, batch)], range(len(batch)), settings.tokens, settings.rows)
        for part, is_idle in _turns(parts, device):
            chosen = [batch[row] for row in part]
            rows = as_sequences([item.prompt for item in chosen], [item.completion for item in chosen], pad=0)
            inputs = [tensor.to(device) for tensor in (rows.input_ids, rows.prompt_lengths, rows.lengths)]
            with self._policy.microbatch(is_last=False):  # the last one is PPO's
                logprobs, _ = self._policy(*inputs)
                loss = -imitation.coefficient * logprobs.sum() / count
                self._policy.backward(0.0 * loss if is_idle else loss)
            if is_idle:
                continue
            mask = rows.mask.to(device)
            stats.add("ptx/loss", -logprobs, mask)
            stats.add(PTX_TOKENS, torch.ones_like(logprobs), mask)

    def _step(
        self,
        experience: Experience,
        rows: Sequence[int],
        shares: tuple[float | None, float],
        stats: UpdateStats,
        kl_coefficient: float,
    ) -> float:
        settings = self._settings
        mask = experience.mask[torch.as_tensor(rows)]
        own = normaliser(mask, settings.aggregation, settings.max_new_tokens)
        counts = group.total(torch.stack([own.double(), mask.sum().double()]))
        sizes = (experience.prompt_lengths + experience.lengths).tolist()
        parts = microbatches(sizes, rows, settings.tokens, settings.rows)
        turns = _turns(parts, mask.device)  # the last one adds up gradients
        before = stats.sums.get(APPROX_KL, 0.0)

        def learn(engine: Engine, loss_of: LossOf, share: float, *asked: bool) -> Step:
            for number, (part, is_idle) in enumerate(turns, start=1):
                batch = experience.rows(part)
                with engine.microbatch(is_last=number == len(turns)):
                    answer = engine(batch.input_ids, batch.prompt_lengths, batch.lengths, *asked)
                    loss = loss_of(batch, answer, counts[0], None if is_idle else stats)
                    engine.backward(0.0 * loss if is_idle else loss)
            return engine.step(share)

        work = [lambda: stats.value_steps.append(learn(self._value, self._value_loss, shares[1]))]
        if (share := shares[0]) is not None:
            policy_loss_of = partial(self._policy_loss, kl_coefficient)
            asked = settings.entropy_bonus is not None
            work.append(lambda: stats.policy_steps.append(learn(self._policy, policy_loss_of, share, asked)))
        # Neither model needs the other. Processes that wait for each other must do so in the same order, and
        # who says how many rows memory holds means those of one model.
        are_apart = self._policy.runs_beside_others and self._value.runs_beside_others
        if group.size() > 1 or settings.rows is not None or not are_apart:
            for piece in work:
                piece()
        else:
            side_by_side(mask.device, *work)
        own_kl = stats.sums.get(APPROX_KL, 0.0) - before
        kl = group.total(torch.tensor(own_kl, dtype=torch.float64, device=mask.device))  # NCCL knows no CPU
        return float(kl / counts[1].clamp(min=1))

    def _policy_loss(
        self,
        kl_coefficient: float,
        batch: Experience,
        answer: tuple[Tensor, Tensor | None],
        count: Tensor,
        stats: UpdateStats | None,
    ) -> Tensor:
        settings, mask, (logprobs, entropy) = self._settings, batch.mask, answer
        found = policy_loss(
            logprobs,
            batch.old_logprobs,
            batch.advantages,
            settings.clip_range_low,
            settings.clip_range_high,
            dual_clip=settings.dual_clip,
            weights=_weights(batch, settings.importance_cap),
            mask=mask,
        )
        if stats is not None:
            is_high = found.ratio > 1
            stats.add("policy/clip_fraction", found.clipped.float(), mask)
            stats.add("policy/clip_fraction_high", (found.clipped & is_high).float(), mask)
            stats.add("policy/clip_fraction_low", (found.clipped & ~is_high).float(), mask)
            stats.add("policy/ratio", found.ratio, mask)
            stats.top("policy/ratio_max", found.ratio, mask)
            stats.add(APPROX_KL, k3(batch.old_logprobs, logprobs.detach()), mask)
            stats.add("policy/loss", found.per_token, mask)
            stats.add(POLICY_TOKENS, torch.ones_like(logprobs), mask)
        per_token = found.per_token
        if settings.kl_in_loss is not None:
            kl = token_kl(logprobs, batch.reference_logprobs, mask, settings.kl_in_loss)
            per_token = per_token + kl_coefficient * kl
        if settings.entropy_bonus is not None:
            assert entropy is not None
            per_token = per_token - settings.entropy_bonus * entropy
        return aggregate(per_token, mask, settings.aggregation, count)

    def _value_loss(
        self, batch: Experience, values: Tensor, count: Tensor, stats: UpdateStats | None
    ) -> Tensor:
        mask = batch.mask
        found = value_loss(values, batch.values, batch.returns, self._settings.value_clip_range, mask=mask)
        if stats is not None:
            stats.add("value/clip_fraction", found.clipped.float(), mask)
            stats.add("value/loss", found.per_token, mask)
            stats.add(VALUE_TOKENS, torch.ones_like(values), mask)
        return aggregate(found.per_token, mask, self._settings.aggregation, count)


def _turns(parts: list[list[int]], device: torch.device) -> list[tuple[list[int], bool]]:
    """Microbatches and whether they are idle ones, which fill up: every process makes as many passes.

    Where weights or gradients are sharded, a pass of one process is a pass of all.
    """
    idle = group.largest(len(parts), device) - len(parts)
    return [*((part, False) for part in parts), *((part, True) for part in parts[:1] * idle)]


def _weights(batch: Experience, cap: float | None) -> Tensor | None:
    """What makes up for a sampler whose probabilities are not quite those of training. (B, T)"""
    if cap is None:
        return None
    return importance_weights(batch.old_logprobs, batch.sampler_logprobs, cap, batch.mask)
