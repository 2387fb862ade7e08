"""Selection: which update's policy is kept, as a judge that pays nothing finds on held-out prompts.

The score that is optimised rises whether the policy gets better or not, so it never decides.
Source  Gao et al. 2022, "Scaling laws for reward model overoptimization", arXiv:2210.10760
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from align.ppo.advantage import masked
from align.ppo.collect import Clock, Collector
from align.ppo.diagnostics import episode_mean
from align.ppo.kl import token_kl
from align.ppo.prompts import Asked
from align.ppo.texts import self_bleu, text_metrics
from align.runtime import group

# Held-out episodes are numbered from here: no training episode has their random numbers.
FIRST_EPISODE = 2**40


@dataclass(frozen=True)
class Judged:
    """What the judge found: its mean score (NaN: no number), the KL in nats per completion, and how varied
    completions are.
    """

    score: float
    kl: float
    texts: Mapping[str, float] = field(default_factory=dict)


class Selection:
    """Looks every `every` updates and keeps the weights with the best score among those within `kl_cap`."""

    def __init__(
        self,
        collector: Collector,
        asked: Sequence[Asked],
        *,
        every: int,
        kl_cap: float | None,
        log: Callable[[int, dict[str, float]], None],
    ) -> None:
        self._collector = collector
        self._asked = asked
        self._every = every
        self._kl_cap = kl_cap
        self._log = log
        self._best: dict[str, Any] | None = None

    def consider(self, update: int, *, is_last: bool) -> None:
        """Judge the policy as it is after an update, where it is time to."""
        if update % self._every and not is_last:
            return
        found = self._judge()
        is_within = self._kl_cap is None or found.kl <= self._kl_cap
        if (
            math.isfinite(found.score)
            and is_within
            and (self._best is None or found.score > self._best["score"])
        ):
            weights = self._collector.policy.weights()
            self._best = {"update": update, "score": found.score, "weights": weights}
        chosen = -1 if self._best is None else self._best["update"]
        told = {"objective/score": found.score, "objective/kl": found.kl, "selection/update": chosen}
        self._log(update, {**told, **found.texts})

    @torch.no_grad()
    def _judge(self) -> Judged:
        collected = self._collector.collect(self._asked, Clock())
        rollout = collected.rollout
        kl = token_kl(rollout.old_logprobs, rollout.reference_logprobs, rollout.mask)
        sums = masked(kl, rollout.mask).sum(dim=1)
        is_judged = episode_mean(rollout.valid.float(), torch.ones_like(rollout.valid)) > 0
        score = episode_mean(rollout.scores, rollout.valid) if is_judged else math.nan
        said = group.everybodys([list(completion.tokens) for completion in collected.completions])
        texts = {**text_metrics(said), "text/self_bleu": self_bleu(said)}
        return Judged(score, episode_mean(sums, rollout.valid), texts)

    def keep_best(self) -> int | None:
        """Give the policy its best weights: of which update, None where no update was within the cap."""
        if self._best is None:
            cap = "" if self._kl_cap is None else f" within selection.kl_cap ({self._kl_cap:g} nats)"
            sys.stdout.write(f"no update had a score of the judge{cap}: the last one's weights are kept\n")
            return None
        self._collector.policy.put(self._best["weights"])
        return int(self._best["update"])

    def state(self) -> dict[str, Any] | None:
        """What a checkpoint must hold."""
        return self._best

    def restore(self, state: dict[str, Any] | None) -> None:
        """Go on from what `state` returned."""
        self._best = state
