"""The algorithm: a policy, a value model, reward sources -> a policy that scores higher, near its reference.

Writes  metrics.jsonl, samples.jsonl, checkpoints/
Source  Schulman et al. 2017, arXiv:1707.06347; Ziegler et al. 2019, arXiv:1909.08593; numbered as in Huang et
        al. 2024, arXiv:2403.17031
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from align.data.records import Prompt
from align.generation.choice import NotFinite
from align.ppo.advantage import generalized_advantage, token_rewards, whiten
from align.ppo.collect import Clock, Collected, Collector
from align.ppo.diagnostics import rollout_metrics, source_metrics, time_metrics, update_metrics
from align.ppo.kl import Controller, token_kl
from align.ppo.length import LengthLine
from align.ppo.prompts import PromptPlan
from align.ppo.rollout import Experience, Rollout
from align.ppo.schedule import Schedule
from align.ppo.selection import Selection
from align.ppo.shaping import Shaping, shaped_scores
from align.ppo.update import Updater, UpdateStats
from align.runtime import group
from align.runtime.engine import Engine
from align.runtime.processes import rank

MOST_SKIPPED = 3  # updates in a row in which a model took no step, as no gradient of it was finite
LOWER = "lower policy_optimizer.learning_rate and value_optimizer.learning_rate"


class TrainingBroke(RuntimeError):
    """Training cannot go on; the last checkpoint is good."""


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """What the loop itself reads; fields as in the stage."""

    updates: int
    rollout_batch_size: int
    gamma: float
    gae_lambda: float
    whiten: bool
    kl_cap: float | None
    kl_in_loss: bool = False
    max_invalid: float
    seed: int


class Loop:
    """Collect, learn, log; again and again.

    `log(update, metrics, collected, is_last)` is called after every update, `save(loop)` may write its state.
    """

    def __init__(
        self,
        settings: LoopSettings,
        *,
        prompts: PromptPlan,
        collector: Collector,
        updater: Updater,
        controller: Controller,
        shaping: Shaping,
        schedule: Schedule,
        log: Callable[[int, dict[str, float], Collected, bool], None],
        save: Callable[["Loop"], None],
        selection: Selection | None = None,
    ) -> None:
        self._settings = settings
        self._prompts = prompts
        self._collector = collector
        self._updater = updater
        self._controller = controller
        self._shaping = shaping
        self._schedule = schedule
        self._log = log
        self._save = save
        self._selection = selection
        self._length_line: LengthLine | None = None
        self._skipped = 0
        self._is_over = False
        self.update = 0
        self.updates = settings.updates

    def run(self) -> None:
        """Train to the last update, or until the KL cap.

        Raises:
            TrainingBroke: scores or gradients stay without finite values.
        """
        while not self._is_over:
            metrics, collected = self._once(Clock())
            self.update += 1
            cap = self._settings.kl_cap
            is_capped = cap is not None and metrics["objective/kl"] > cap
            self._is_over = is_capped or self.update == self._settings.updates
            self._log(self.update, metrics, collected, self._is_over)
            if self._selection is not None:
                self._selection.consider(self.update, is_last=self._is_over)
            self._save(self)
        if self._selection is not None:
            self._selection.keep_best()

    @property
    def first_prompt(self) -> Prompt:
        """What was asked first."""
        return self._prompts.batch(0, 1)[0].prompt

    def _once(self, clock: Clock) -> tuple[dict[str, float], Collected]:
        settings, kl_coefficient = self._settings, self._controller.coefficient
        share = settings.rollout_batch_size // group.size()
        first = self.update * settings.rollout_batch_size + rank() * share
        # 1 sample, 2 truncate at the end of turn, 3 score, 4 log-probabilities and values
        try:
            collected = self._collector.collect(self._prompts.batch(first, share), clock)
        except NotFinite as problem:
            raise TrainingBroke(f"{problem}. This is update {self.update + 1}: {LOWER}") from None
        rollout = collected.rollout
        # 5 reward of every token
        kl = token_kl(rollout.old_logprobs, rollout.reference_logprobs, rollout.mask)
        shaped = shaped_scores(rollout.scores, rollout.lengths, rollout.ended, self._shaping)
        charge = 0.0 if settings.kl_in_loss else kl_coefficient
        rewards = token_rewards(shaped, kl, rollout.mask, charge)
        # 6 advantages
        experience = self._experience(rollout, rewards)
        # 7 optimise
        with clock.phase("learn"):
            stats = self._updater.update(
                experience,
                self._schedule.shares(self.update),
                (settings.seed, self.update, rank()),
                self.update * self._schedule.steps_per_update,
                kl_coefficient,
            )
        # 8 log
        metrics = rollout_metrics(collected, kl, shaped, kl_coefficient)
        metrics["objective/score_beyond_length"] = self._beyond_length(rollout)
        metrics |= source_metrics(collected, self._prompts.sources)
        metrics |= update_metrics(stats, rollout, experience.returns)
        metrics |= time_metrics(clock, rollout)
        self._refuse_broken(metrics, stats)
        self._controller.update(metrics["objective/kl"], settings.rollout_batch_size)
        return metrics, collected

    def _beyond_length(self, rollout: Rollout) -> float:
        """Mean score beyond what completions as long scored in the first rollout."""
        lengths = group.everybodys(rollout.lengths[rollout.valid].tolist())
        scores = group.everybodys(rollout.scores[rollout.valid].tolist())
        if self._length_line is None:
            self._length_line = LengthLine.through(lengths, scores)
        return self._length_line.excess(lengths, scores)

    def _experience(self, rollout: Rollout, rewards: Tensor) -> Experience:
        settings = self._settings
        advantages, returns = generalized_advantage(
            rewards, rollout.values, rollout.mask, settings.gamma, settings.gae_lambda
        )
        if settings.whiten:
            advantages = whiten(advantages, rollout.mask, group.total)
        return Experience(**vars(rollout), advantages=advantages, returns=returns)

    def _refuse_broken(self, metrics: dict[str, float], stats: UpdateStats) -> None:
        if not math.isfinite(metrics["objective/kl"]):
            raise TrainingBroke(
                f"the KL at update {self.update + 1} is not finite, nor are weights of the policy or the "
                "reference: look at policy.path, or set precision to fp32"
            )
        invalid = metrics["rollout/invalid_fraction"]
        if invalid > self._settings.max_invalid:
            raise TrainingBroke(
                f"{invalid:.0%} of the scores at update {self.update + 1} are not finite, more than "
                f"max_invalid ({self._settings.max_invalid:.0%}) allows: look at `rewards`"
            )
        taken = {"policy": stats.policy_steps, "value model": stats.value_steps}
        stuck = [name for name, steps in taken.items() if steps and not any(step.taken for step in steps)]
        self._skipped = self._skipped + 1 if stuck else 0
        if self._skipped >= MOST_SKIPPED:
            raise TrainingBroke(
                f"no gradient of the {' or the '.join(stuck)} was finite for {MOST_SKIPPED} updates, the "
                f"last of them {self.update + 1}; {LOWER}"
            )

    @property
    def engines(self) -> dict[str, Engine]:
        """What is trained."""
        return {"policy": self._collector.policy, "value": self._collector.value}

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs, beside its configuration and `engines`."""
        return {
            "update": self.update,
            "is_over": self._is_over,
            "skipped": self._skipped,
            "length_line": None if self._length_line is None else vars(self._length_line),
            "controller": self._controller.state(),
            "selection": None if self._selection is None else self._selection.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.update, self._skipped, self._is_over = state["update"], state["skipped"], state["is_over"]
        line = state["length_line"]
        self._length_line = None if line is None else LengthLine(**line)
        self._controller.restore(state["controller"])
        if self._selection is not None:
            self._selection.restore(state["selection"])
