"""Update: epochs x minibatches x microbatches over one rollout, one optimiser step per minibatch.

Source  Schulman et al. 2017, arXiv:1707.06347, §5
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from align.ppo.advantage import masked
from align.ppo.imitation import Imitation
from align.ppo.kl import k3
from align.ppo.loss import Aggregation, aggregate, normaliser, policy_loss, value_loss
from align.ppo.rollout import Experience, as_sequences, microbatches
from align.runtime import group, processes
from align.runtime.engine import Engine, Step

APPROX_KL = "policy/approx_kl"
POLICY_TOKENS, VALUE_TOKENS, PTX_TOKENS = "policy/tokens", "value/tokens", "ptx/tokens"


@dataclass(frozen=True, kw_only=True)
class UpdateSettings:
    """How one rollout is learnt from; fields as in the stage."""

    epochs: int
    minibatches: int
    clip_range_low: float
    clip_range_high: float
    value_clip_range: float | None
    dual_clip: float | None
    stop_kl: float | None
    aggregation: Aggregation
    max_new_tokens: int
    tokens: int
    rows: int | None = None


@dataclass
class UpdateStats:
    """Sums over the tokens of all minibatches of this process, and what the steps reported."""

    sums: dict[str, float] = field(default_factory=dict)
    policy_steps: list[Step] = field(default_factory=list)
    value_steps: list[Step] = field(default_factory=list)
    is_stopped: bool = False

    def add(self, name: str, values: Tensor, mask: Tensor) -> None:
        """Add a quantity's sum over the tokens where `mask` is True."""
        self.sums[name] = self.sums.get(name, 0.0) + float(
            masked(values.detach(), mask).sum(dtype=torch.float64)
        )


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
    ) -> UpdateStats:
        """Take the optimiser steps of one rollout.

        Args:
            experience: this process's episodes.
            shares: for every step, the shares of the peak learning rates of policy and value; None: the
                policy stays as it is.
            seed: of the order in which episodes are gone through.
            first_step: optimiser steps of the run before this rollout, as planned.
        """
        stats = UpdateStats()
        for number, rows in enumerate(self._minibatches(len(experience), seed)):
            if self._imitation is not None and shares[number][0] is not None:
                self._imitate(self._imitation, first_step + number, stats)
            approx_kl = self._step(experience, rows, shares[number], stats)
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
        for part in microbatches([*map(len, batch)], range(len(batch)), settings.tokens, settings.rows):
            chosen = [batch[row] for row in part]
            rows = as_sequences([item.prompt for item in chosen], [item.completion for item in chosen], pad=0)
            inputs = [tensor.to(device) for tensor in (rows.input_ids, rows.prompt_lengths, rows.lengths)]
            with self._policy.microbatch(is_last=False):  # the last one is PPO's
                logprobs, _ = self._policy(*inputs)
                self._policy.backward(-imitation.coefficient * logprobs.sum() / count)
            mask = rows.mask.to(device)
            stats.add("ptx/loss", -logprobs, mask)
            stats.add(PTX_TOKENS, torch.ones_like(logprobs), mask)

    def _step(
        self,
        experience: Experience,
        rows: Sequence[int],
        shares: tuple[float | None, float],
        stats: UpdateStats,
    ) -> float:
        settings = self._settings
        mask = experience.mask[torch.as_tensor(rows)]
        own = normaliser(mask, settings.aggregation, settings.max_new_tokens)
        counts = group.total(torch.stack([own.double(), mask.sum().double()]))
        sizes = (experience.prompt_lengths + experience.lengths).tolist()
        parts = microbatches(sizes, rows, settings.tokens, settings.rows)
        idle = group.largest(len(parts), mask.device) - len(parts)
        before = stats.sums.get(APPROX_KL, 0.0)
        for number in range(len(parts) + idle):  # every process as often: the last one adds up gradients
            is_idle, is_last = number >= len(parts), number == len(parts) + idle - 1
            part = parts[0] if is_idle else parts[number]
            self._microbatch(experience.rows(part), counts, shares, is_last, is_idle, stats)
        if shares[0] is not None:
            stats.policy_steps.append(self._policy.step(shares[0]))
        stats.value_steps.append(self._value.step(shares[1]))
        own_kl = stats.sums.get(APPROX_KL, 0.0) - before
        return float(group.total(torch.tensor(own_kl, dtype=torch.float64)) / counts[1].clamp(min=1))

    def _microbatch(
        self,
        batch: Experience,
        counts: Tensor,
        shares: tuple[float | None, float],
        is_last: bool,
        is_idle: bool,
        stats: UpdateStats,
    ) -> None:
        """Forward and backward of both models; an idle one only keeps the processes in step."""
        inputs, weight = (batch.input_ids, batch.prompt_lengths, batch.lengths), 0.0 if is_idle else 1.0
        if shares[0] is not None:
            with self._policy.microbatch(is_last=is_last):
                loss = self._policy_loss(batch, self._policy(*inputs)[0], counts, None if is_idle else stats)
                self._policy.backward(weight * loss)
        with self._value.microbatch(is_last=is_last):
            loss = self._value_loss(batch, self._value(*inputs), counts, None if is_idle else stats)
            self._value.backward(weight * loss)

    def _policy_loss(
        self, batch: Experience, logprobs: Tensor, counts: Tensor, stats: UpdateStats | None
    ) -> Tensor:
        settings, mask = self._settings, batch.mask
        found = policy_loss(
            logprobs,
            batch.old_logprobs,
            batch.advantages,
            settings.clip_range_low,
            settings.clip_range_high,
            dual_clip=settings.dual_clip,
            mask=mask,
        )
        if stats is not None:
            stats.add("policy/clip_fraction", found.clipped.float(), mask)
            stats.add("policy/ratio", found.ratio, mask)
            stats.add(APPROX_KL, k3(batch.old_logprobs, logprobs.detach()), mask)
            stats.add("policy/loss", found.per_token, mask)
            stats.add(POLICY_TOKENS, torch.ones_like(logprobs), mask)
        return aggregate(found.per_token, mask, settings.aggregation, counts[0])

    def _value_loss(
        self, batch: Experience, values: Tensor, counts: Tensor, stats: UpdateStats | None
    ) -> Tensor:
        mask = batch.mask
        found = value_loss(values, batch.values, batch.returns, self._settings.value_clip_range, mask=mask)
        if stats is not None:
            stats.add("value/clip_fraction", found.clipped.float(), mask)
            stats.add("value/loss", found.per_token, mask)
            stats.add(VALUE_TOKENS, torch.ones_like(values), mask)
        return aggregate(found.per_token, mask, self._settings.aggregation, counts[0])
