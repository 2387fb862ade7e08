"""How far the sampler is from training, as numbers of the log: recomputed one token at a time."""

import math
from dataclasses import replace

import pytest
import torch

from align.ppo.collect import Clock
from align.ppo.diagnostics import sampler_metrics, time_metrics
from tests.ppo.test_update import engines, experience


def test_how_far_the_sampler_is_off_is_told_of_real_tokens_alone() -> None:
    """PPO.md 1.8: mean and largest difference, KL from sampler to training, effective share."""
    given = experience(*engines())
    noise = 0.5 * torch.randn(given.mask.shape, generator=torch.Generator().manual_seed(0))
    valid = given.valid.clone()
    valid[3] = False
    off = given.old_logprobs - noise
    given = replace(given, valid=valid, sampler_logprobs=off.masked_fill(~given.mask, 7.0))

    found = sampler_metrics(given)

    apart = noise[given.mask].double().tolist()  # training less sampler
    assert len(apart) == sum(given.lengths.tolist()) - int(given.lengths[3])
    weights = [math.exp(nats) for nats in apart]
    assert found == {
        "sampler/difference": pytest.approx(sum(map(abs, apart)) / len(apart), abs=1e-6),
        "sampler/difference_max": pytest.approx(max(map(abs, apart)), abs=1e-6),
        "sampler/kl": pytest.approx(
            sum(w - 1 - nats for w, nats in zip(weights, apart, strict=True)) / len(apart), abs=1e-6
        ),
        "sampler/effective_share": pytest.approx(
            sum(weights) ** 2 / (len(apart) * sum(w * w for w in weights)), abs=1e-6
        ),
    }


def test_a_sampler_that_computes_the_same_counts_in_full() -> None:
    found = sampler_metrics(experience(*engines()))
    assert found == {
        "sampler/difference": 0.0,
        "sampler/difference_max": 0.0,
        "sampler/kl": 0.0,
        "sampler/effective_share": 1.0,
    }


def test_seconds_of_a_phase_tell_how_many_tokens_it_got_through() -> None:
    given, clock = experience(*engines()), Clock()
    clock.seconds = {"generate": 2.0, "learn": 0.5}
    said, everything = sum(given.lengths.tolist()), float((given.prompt_lengths + given.lengths).sum())
    assert time_metrics(clock, given) == {
        "time/generate": 2.0,
        "time/learn": 0.5,
        "generate/tokens_per_second": everything / 2.0,
        "learn/tokens_per_second": everything / 0.5,
        "rollout/tokens_per_second": said / 2.0,
    }
