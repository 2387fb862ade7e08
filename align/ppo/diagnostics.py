"""Diagnostics: a rollout and its update -> the numbers that tell whether training goes well.

Means are over all processes, and over real tokens or valid episodes only.
Source  Huang et al. 2024, "The N+ implementation details of RLHF with PPO", arXiv:2403.17031, §3
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from align.ppo.advantage import masked, masked_mean, moments
from align.ppo.collect import Clock, Collected
from align.ppo.kl import token_kl
from align.ppo.loss import explained_variance, importance_weights
from align.ppo.rollout import Rollout
from align.ppo.texts import text_metrics
from align.ppo.update import POLICY_TOKENS, PTX_TOKENS, VALUE_TOKENS, UpdateStats
from align.runtime import group
from align.runtime.engine import Step


def episode_mean(values: Tensor, valid: Tensor) -> float:
    """Mean over valid episodes of all processes; 0 where there is none. `values` is (B,)."""
    return float(masked_mean(values, valid, group.total))


def rollout_metrics(
    collected: Collected, kl: Tensor, shaped: Tensor, kl_coefficient: float
) -> dict[str, float]:
    """What the policy said before the update.

    Args:
        collected: the rollout and its parts.
        kl: of every token, as it was charged. (B, T)
        shaped: scores as they were paid. (B,)
        kl_coefficient: what a nat cost.
    """
    rollout = collected.rollout
    valid, mask = rollout.valid, rollout.mask
    sequence_kl = masked(kl, mask).sum(dim=1)
    score = episode_mean(rollout.scores, valid)
    kl_per_completion = episode_mean(sequence_kl, valid)
    least, low, high, most = quantiles(rollout.scores[valid], (0.0, 0.05, 0.95, 1.0))
    longest = quantiles(rollout.lengths.float(), (0.95,))
    spread = episode_mean((rollout.scores - score) ** 2, valid) ** 0.5
    return {
        "objective/score": score,
        "objective/score_deviation": spread,
        "objective/score_min": least,
        "objective/score_p5": low,
        "objective/score_p95": high,
        "objective/score_max": most,
        "objective/shaped_score": episode_mean(shaped, valid),
        "objective/kl": kl_per_completion,
        "objective/sqrt_kl": max(0.0, kl_per_completion) ** 0.5,
        "objective/kl_per_token": float(masked_mean(kl, mask, group.total)),
        "objective/kl_coefficient": kl_coefficient,
        "objective/reward": episode_mean(shaped - kl_coefficient * sequence_kl, valid),
        "objective/entropy": float(masked_mean(rollout.entropy, mask, group.total)),
        "rollout/length": episode_mean(rollout.lengths.float(), torch.ones_like(valid)),
        "rollout/length_p95": longest[0],
        "rollout/ended_fraction": episode_mean(rollout.ended.float(), torch.ones_like(valid)),
        "rollout/invalid_fraction": episode_mean((~valid).float(), torch.ones_like(valid)),
        "rollout/padding_fraction": padding_fraction(rollout),
        **{
            f"score/{name}": episode_mean(values.to(valid.device), valid)
            for name, values in collected.parts.items()
        },
        **sampler_metrics(rollout),
        **text_metrics(group.everybodys([list(completion.tokens) for completion in collected.completions])),
    }


def source_metrics(collected: Collected, sources: Sequence[str]) -> dict[str, float]:
    """Mean score of the valid episodes that each source's prompts led to; a source that had none is left out.

    Args:
        collected: the rollout.
        sources: names of all sources that prompts come from; of a single one nothing is told.
    """
    if len(sources) < 2:
        return {}
    rollout = collected.rollout
    own = zip(collected.prompts, rollout.scores.tolist(), rollout.valid.tolist(), strict=True)
    scored = group.everybodys(
        [(prompt.place.source, score) for prompt, score, is_valid in own if is_valid and prompt.place]
    )
    by_source = {name: [score for source, score in scored if source == name] for name in sources}
    return {f"source/{name}/score": sum(scores) / len(scores) for name, scores in by_source.items() if scores}


def sampler_metrics(rollout: Rollout) -> dict[str, float]:
    """How far the sampler's log-probabilities are from those of training, in nats.

    `sampler/effective_share` is of the tokens: as many, drawn by training itself, would tell as much (Kish).
    """
    old, sampler, mask = rollout.old_logprobs, rollout.sampler_logprobs, rollout.mask
    difference = masked((old - sampler).abs(), mask)
    weights = importance_weights(old, sampler, math.inf, mask)
    mean, square = (float(masked_mean(item, mask, group.total)) for item in (weights, weights.square()))
    return {
        "sampler/difference": float(masked_mean(difference, mask, group.total)),
        "sampler/difference_max": max(group.everybodys([float(difference.amax())])),
        "sampler/kl": float(masked_mean(token_kl(sampler, old, mask, "k3"), mask, group.total)),
        "sampler/effective_share": mean**2 / square if square > 0 else 0.0,
    }


def quantiles(values: Tensor, at: Sequence[float]) -> list[float]:
    """Quantiles over all processes; 0 where there is nothing. `values` is (B,)."""
    everything = group.everybodys(values.tolist())
    return np.quantile(everything, at).tolist() if everything else [0.0 for _ in at]


def padding_fraction(rollout: Rollout) -> float:
    """Share of padding in every process's rollout as one rectangle; computed microbatches hold less."""
    real = (rollout.prompt_lengths + rollout.lengths).sum().double()
    sizes = group.total(torch.stack([real, torch.full_like(real, rollout.input_ids.numel())]))
    return 1 - float(sizes[0] / sizes[1])


def update_metrics(stats: UpdateStats, rollout: Rollout, returns: Tensor) -> dict[str, float]:
    """What the update did."""
    names = sorted(stats.sums)
    own = torch.tensor([stats.sums[name] for name in names], device=returns.device)
    sums = dict(zip(names, group.total(own).tolist(), strict=True))
    counts = {"policy": POLICY_TOKENS, "value": VALUE_TOKENS, "ptx": PTX_TOKENS}
    tokens = {name: sums.pop(key, 1.0) for name, key in counts.items()}
    shares = {name: value / max(1.0, tokens[name.partition("/")[0]]) for name, value in sums.items()}
    _, advantage_variance = moments(returns - rollout.values, rollout.mask, group.total)  # before whitening
    largest = {name: group.everybodys([value]) for name, value in sorted(stats.largest.items())}
    return {
        **shares,
        **{name: max(values) for name, values in largest.items()},
        **_steps("policy", stats.policy_steps),
        **_steps("value", stats.value_steps),
        "value/explained_variance": float(
            explained_variance(rollout.values, returns, rollout.mask, group.total)
        ),
        "value/return": float(masked_mean(returns, rollout.mask, group.total)),
        "value/advantage_deviation": float(advantage_variance.sqrt()),
        "policy/stopped_early": float(stats.is_stopped),
    }


def _steps(name: str, steps: list[Step]) -> dict[str, float]:
    if not steps:
        return {}
    return {
        f"{name}/grad_norm": sum(step.grad_norm for step in steps) / len(steps),
        f"{name}/skipped_steps": float(sum(not step.taken for step in steps)),
    }


def time_metrics(clock: Clock, rollout: Rollout) -> Mapping[str, float]:
    """Seconds per phase, how many of the rollout's tokens each got through in one, and how fast they came."""
    said, read = group.total(torch.stack([rollout.lengths.sum(), rollout.prompt_lengths.sum()]).double())
    tokens, phases = float(said + read), clock.seconds.items()
    return {
        **{f"time/{name}": seconds for name, seconds in phases},
        **{f"{name}/tokens_per_second": tokens / max(seconds, 1e-9) for name, seconds in phases},
        "rollout/tokens_per_second": float(said) / max(clock.seconds.get("generate", 0.0), 1e-9),
    }
