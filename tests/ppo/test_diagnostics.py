"""Numbers of the log, recomputed one token at a time: of real tokens alone."""

import math
from dataclasses import replace

import pytest
import torch

from align.data.records import Message, Prompt
from align.generation.sampler import Completion
from align.ppo.collect import Clock, Collected
from align.ppo.diagnostics import rollout_metrics, sampler_metrics, time_metrics, update_metrics
from align.ppo.kl import token_kl
from align.ppo.update import Updater
from tests.ppo.test_update import ALL, SETTINGS, engines, experience


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


def test_neither_padding_nor_what_stands_there_is_in_any_mean() -> None:
    """trl#2022, trl#2281, trl#2496, trl#6809: log-probabilities of 1 there made the entropy negative."""
    policy, value = engines()
    given = experience(policy, value, shift=0.0)
    valid = given.valid.clone()
    valid[3] = False
    given = replace(given, valid=valid, reference_logprobs=given.old_logprobs - 0.25)
    mask, names = given.mask, ("old_logprobs", "sampler_logprobs", "reference_logprobs", "entropy")
    given = replace(given, **{name: getattr(given, name).masked_fill(~mask, 1.0) for name in names})
    entropy = [row[own].double() for row, own in zip(given.entropy, mask, strict=True)]

    kl = token_kl(given.old_logprobs, given.reference_logprobs, mask)
    said = [Completion("", (3, 4), True)] * len(valid)
    asked = [Prompt((Message("user", "?"),))] * len(valid)
    rolled = rollout_metrics(Collected(given, asked, said, {}), kl, given.scores, 0.1)
    learnt = update_metrics(Updater(policy, value, SETTINGS).update(given, ALL, (0,)), given, given.returns)

    assert rolled["objective/entropy"] == pytest.approx(torch.cat(entropy).mean().item(), rel=1e-6)
    assert rolled["objective/kl_per_token"] == pytest.approx(0.25, rel=1e-5)
    tokens = [len(own) for own in entropy if len(own)]
    assert rolled["objective/kl"] == pytest.approx(0.25 * sum(tokens) / len(tokens), rel=1e-5)
    assert learnt["policy/ratio"] == pytest.approx(1, abs=1e-6) and abs(learnt["policy/approx_kl"]) <= 1e-9
    assert learnt["policy/grad_norm"] > 0 and learnt["value/grad_norm"] > 0, "trl#3961: none was logged"
