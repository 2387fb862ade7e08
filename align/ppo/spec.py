"""PPO as configuration: what is optimised, how far the policy may go, and how it gets there. Torch-free."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from align.config.plugin import Plugin
from align.config.spec import (
    Bool,
    Fraction,
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveInt,
    Spec,
)
from align.data.spec import DataSpec
from align.generation.decoding import DecodingSpec
from align.models.spec import ModelSpec
from align.rewards.function import missing_arguments
from align.runtime.spec import BatchSpec


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec(Spec):
    """AdamW with its own gradient clip. `learning_rate` is the peak.

    The rate rises over the share `warmup` of all steps and falls to the share `final` of its peak, in a line
    or, where `decay` says so, along half a cosine; `final: 1` keeps it.
    """

    learning_rate: Positive
    warmup: Fraction = 0.0
    final: Fraction = 0.0
    decay: Literal["cosine"] | None = None
    max_grad_norm: Positive = 1.0
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    epsilon: Positive = 1e-5
    weight_decay: NonNegative = 0.0


@dataclass(frozen=True, kw_only=True)
class KlSpec(Spec):
    """How far the policy may go from the reference, in nats per completion.

    `control: fixed` keeps the coefficient; `adaptive` moves it towards the KL that `target` names (Ziegler et
    al. 2019, arXiv:1909.08593, §2.2), by at most a fifth per `horizon` episodes, and keeps it from `lowest`
    to `highest` where these are given. `cap` ends training where the mean KL of a rollout is above it.
    `in_loss` takes the penalty out of the reward and adds an estimate of the KL, times the coefficient, to
    the policy's loss: k2 has the gradient of KL(policy || reference), k3 (as in GRPO) that of
    KL(reference || policy). The coefficient then weighs against advantages as they are, whitened or not.
    """

    coefficient: NonNegative = 0.05
    control: Literal["fixed", "adaptive"] = "fixed"
    target: Positive = 6.0
    horizon: Positive = 10_000.0
    lowest: NonNegative | None = None
    highest: Positive | None = None
    cap: Positive | None = None
    in_loss: Literal["k2", "k3"] | None = None

    def __post_init__(self) -> None:
        if self.control == "adaptive" and self.coefficient == 0:
            raise ValueError("coefficient: adaptive control multiplies it, and 0 stays 0; set it above 0")
        if self.control == "fixed":
            for name in ("lowest", "highest"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: a fixed coefficient does not move; set control to adaptive")
        elif not (self.lowest or 0.0) <= self.coefficient <= (self.highest or math.inf):
            raise ValueError(
                f"coefficient: {self.coefficient} is not between lowest ({self.lowest}) and highest "
                f"({self.highest})"
            )


@dataclass(frozen=True, kw_only=True)
class MissingEosSpec(Spec):
    """What becomes of the score of a completion that did not end: `replace` it, or `subtract` from it."""

    mode: Literal["none", "replace", "subtract"] = "replace"
    value: float = -1.0

    def __post_init__(self) -> None:
        if self.mode == "subtract" and self.value <= 0:
            raise ValueError(
                f"value: subtracting {self.value} rewards completions that do not end; set it above 0"
            )


@dataclass(frozen=True, kw_only=True)
class OverlongSpec(Spec):
    """A penalty that rises to `factor` over the last `buffer` tokens before the limit (arXiv:2503.14476)."""

    buffer: PositiveInt
    factor: Positive = 1.0


@dataclass(frozen=True, kw_only=True)
class ShapingSpec(Spec):
    """From the sources' score to what the policy is paid: normalise, clip, overlong, missing EOS.

    `demonstrations` are conversations whose last answers score 0 on average, with a deviation of 1, once
    scores are normalised; a value model that starts as a reward model is rescaled alike. Null: scores are
    left as they are.
    """

    demonstrations: DataSpec | None = None
    clip: Positive | None = 10.0
    overlong: OverlongSpec | None = None
    missing_eos: MissingEosSpec = field(default_factory=MissingEosSpec)


@dataclass(frozen=True, kw_only=True)
class RewardEntry(Spec):
    """A reward source and how much its score counts."""

    source: Plugin
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class SelectionSpec(Spec):
    """Which update's policy is kept: every `every` updates `judge`, a reward source that pays nothing, scores
    its answers to at most `prompts` held-out prompts. The best score within `kl_cap` nats per answer counts.
    """

    every: PositiveInt
    judge: Plugin
    kl_cap: Positive | None = None
    prompts: PositiveInt = 256


@dataclass(frozen=True, kw_only=True)
class PtxSpec(Spec):
    """Demonstrations whose likelihood every optimiser step raises as well (Ouyang et al. 2022, eq. 2).

    `data` holds conversations, of which the last answers are imitated, or texts such as the base was
    pretrained on. `coefficient` weighs their mean negative log-likelihood per token; `batch_size` of them
    make a step's.
    """

    data: DataSpec
    coefficient: Positive = 1.0
    batch_size: PositiveInt = 64


@dataclass(frozen=True, kw_only=True)
class PpoSpec(BatchSpec):
    """Let the policy answer, score the answers, and make the better ones likelier, near the reference.

    `batch_size` is episodes per rollout, of which every epoch makes `minibatches` optimiser steps. The
    reference is the policy before training. Without `value` the value model starts as the policy with a head
    that says 0. `measured` sources are logged and never paid. `stop_kl` ends an update once a minibatch's
    policy is so far from the one that answered. A token weighs as much as training finds it likelier than
    the sampler did, at most `importance_cap` (Yao et al. 2025); null: all weigh the same. `entropy_bonus` is
    taken off the policy's loss for every nat of entropy of a token (Schulman et al. 2017, equation 9).
    Episodes without a finite score count nowhere; more than `max_invalid` of them end the run.
    """

    policy: ModelSpec
    value: ModelSpec | None = None
    rewards: Mapping[str, RewardEntry]
    measured: Mapping[str, Plugin] = field(default_factory=dict)
    updates: PositiveInt
    epochs: PositiveInt = 2
    minibatches: PositiveInt = 2
    decoding: DecodingSpec = field(default_factory=lambda: DecodingSpec(temperature=1.0))
    max_prompt_tokens: PositiveInt | None = None
    kl: KlSpec = field(default_factory=KlSpec)
    shaping: ShapingSpec = field(default_factory=ShapingSpec)
    gamma: Fraction = 1.0
    gae_lambda: Fraction = 0.95
    whiten: Bool = True
    clip_range_low: Positive = 0.2
    clip_range_high: Positive = 0.2
    value_clip_range: Positive | None = 0.2
    dual_clip: Positive | None = None
    importance_cap: Positive | None = 2.0
    aggregation: Literal["token_mean", "seq_mean_token_mean", "seq_mean_token_sum_norm"] = "token_mean"
    stop_kl: Positive | None = None
    entropy_bonus: Positive | None = None
    value_warmup_updates: NonNegativeInt = 0
    max_invalid: Fraction = 0.1
    ptx: PtxSpec | None = None
    selection: SelectionSpec | None = None
    policy_optimizer: OptimizerSpec
    value_optimizer: OptimizerSpec

    def __post_init__(self) -> None:
        if found := [
            *self._reward_problems(),
            *self._selection_problems(),
            *self._batch_problems(),
            *self._decoding_problems(),
        ]:
            raise ValueError("\n".join(found))

    def _reward_problems(self) -> Iterator[str]:
        if not self.rewards:
            yield "rewards: nothing is rewarded; name at least one source"
        for name, entry in self.rewards.items():
            yield from (f"rewards.{name}.source: {problem}" for problem in missing_arguments(entry.source))
        for name, plugin in self.measured.items():
            yield from (f"measured.{name}: {problem}" for problem in missing_arguments(plugin))

    def _selection_problems(self) -> Iterator[str]:
        if self.selection is None:
            return
        judge = self.selection.judge
        yield from (f"selection.judge: {problem}" for problem in missing_arguments(judge))
        if any(entry.source == judge for entry in self.rewards.values()):
            yield "selection.judge: it is what the policy is paid by, which rises in any case; choose another"
        if not self.data.held_out:
            yield "selection: needs held-out prompts: set data.held_out (corpus.<name>.held_out) above 0"

    def _batch_problems(self) -> Iterator[str]:
        if self.batch_size % self.minibatches:
            yield f"minibatches: batch_size {self.batch_size} does not divide by {self.minibatches}"
        if self.value_warmup_updates >= self.updates:
            yield (
                f"value_warmup_updates: {self.value_warmup_updates} of {self.updates} updates leave none for "
                "the policy"
            )
        overlong = self.shaping.overlong
        if overlong is not None and overlong.buffer > self.decoding.max_new_tokens:
            yield (
                f"shaping.overlong.buffer: {overlong.buffer} is above decoding.max_new_tokens "
                f"{self.decoding.max_new_tokens}"
            )
        if self.dual_clip is not None and self.dual_clip <= 1:
            yield f"dual_clip: {self.dual_clip} cuts off ordinary updates; set it above 1, such as 3"
        if self.importance_cap is not None and self.importance_cap < 1:
            yield f"importance_cap: {self.importance_cap} lowers every token; set it to 1 or above, such as 2"

    def _decoding_problems(self) -> Iterator[str]:
        """Settings under which log-probabilities are not of the distribution that was sampled from."""
        decoding = self.decoding
        if decoding.temperature == 0:
            yield "decoding.temperature: 0 is greedy, which tries nothing out; set it above 0, such as 1"
        if decoding.top_p < 1 or decoding.top_k > 0:
            yield (
                "decoding: top_p below 1 and top_k above 0 cut tokens off that the KL penalty and the ratio "
                "count, so both are biased; set top_p=1 and top_k=0"
            )
