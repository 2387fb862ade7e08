"""Pairs count alike, whatever prompt they answer; rows and reward_models.json tell one figure."""

import numpy as np
import pytest

from align.data.records import Message, PreferencePair
from align.evaluation.agreement import agreement_rows, pairs_interval, score_pairs
from align.evaluation.reward_quality import reward_quality


class Shortest:
    def score_conversations(self, conversations):
        return [-float(len(turns[-1].content)) for turns in conversations]


def pair(prompt: str, chosen: str, rejected: str) -> PreferencePair:
    return PreferencePair(
        (Message("user", prompt),), (Message("assistant", chosen),), (Message("assistant", rejected),)
    )


def test_every_pair_counts_alike_and_both_files_say_so():
    # Three pairs of one prompt are right, half right and right; one of another prompt is wrong.
    pairs = [pair("q", "a", "bbb"), pair("q", "a", "b"), pair("q", "", "b"), pair("r", "aa", "b")]
    chosen, rejected = score_pairs(Shortest(), pairs)
    sampling = {"resamples": 500, "seed": 0}
    accuracy, margin = agreement_rows("rm", "held_out_pairs", pairs, chosen, rejected, **sampling)
    assert (accuracy.metric, accuracy.value, accuracy.n) == ("accuracy", 0.625, 2)
    assert (margin.metric, margin.value) == ("margin", 0.5)

    told = reward_quality(pairs, chosen, rejected, {"all": range(4)}, **sampling)["accuracy"]
    assert told == {
        "value": accuracy.value, "low": accuracy.low, "high": accuracy.high, "n": 2, "pairs": 4
    }  # fmt: skip


def test_pairs_of_one_prompt_are_no_independent_evidence():
    random = np.random.default_rng(0)
    values, prompts = random.integers(0, 2, 60).astype(float), np.arange(60)
    alone = pairs_interval(values, prompts, resamples=2000, seed=0)
    copied = pairs_interval(np.repeat(values, 9), np.repeat(prompts, 9), resamples=2000, seed=0)
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high), abs=1e-9)
    with pytest.raises(ValueError, match="no pairs"):
        pairs_interval([], [], resamples=10, seed=0)
