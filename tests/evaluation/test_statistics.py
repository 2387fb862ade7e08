"""Intervals equal those of an independent implementation, cover what they promise, and respect clusters."""

import numpy as np
import pytest
from scipy import stats

from align.evaluation.statistics import mean_intervals
from align.evaluation.win_rate import wins


def test_intervals_agree_with_scipy():
    values = np.random.default_rng(0).choice([2.0, 1.0, -0.7, -1.0], p=[0.4, 0.1, 0.2, 0.3], size=(300, 2))
    found = mean_intervals(values, resamples=20_000, seed=1)

    tail = stats.norm.cdf(np.sqrt(300 / 299) * stats.t.ppf(0.025, df=299))
    for column, interval in zip(values.T, found, strict=True):
        expected = stats.bootstrap(
            (column,), np.mean, n_resamples=20_000, confidence_level=1 - 2 * tail, method="percentile", rng=2
        ).confidence_interval
        assert interval.value == pytest.approx(column.mean()) and interval.n == 300
        assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=0.01)


@pytest.mark.parametrize("count", [50, 200])
@pytest.mark.parametrize("kind", ["win", "gold", "skewed"])
def test_intervals_cover_the_truth(count, kind):
    random = np.random.default_rng(7)
    draws, truth = {
        "win": (random.choice([0, 0.5, 1], p=[0.2, 0.3, 0.5], size=(count, 600)), 0.65),
        "gold": (random.choice([2, 1, -0.7, -1], p=[0.4, 0.1, 0.2, 0.3], size=(count, 600)), 0.46),
        "skewed": (random.exponential(size=(count, 600)), 1.0),
    }[kind]
    # Every column is an experiment of its own; sharing the resampling leaves the share that covers unchanged.
    found = mean_intervals(draws, resamples=600, seed=3)
    covered = np.mean([interval.low <= truth <= interval.high for interval in found])
    assert 0.92 <= covered <= 0.98


def test_rows_of_one_prompt_do_not_narrow_the_interval():
    random = np.random.default_rng(0)
    prompts = random.normal(size=(60, 1))
    alone = mean_intervals(prompts)[0]
    copied = mean_intervals(np.repeat(prompts, 9, axis=0), np.repeat(np.arange(60), 9))[0]
    naive = mean_intervals(np.repeat(prompts, 9, axis=0))[0]

    assert copied.n == 60 and naive.n == 540
    assert (copied.value, copied.low, copied.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert naive.high - naive.low < 0.5 * (copied.high - copied.low)


def test_the_estimand_weighs_prompts_equally():
    interval = mean_intervals([[0.0], [0.0], [0.0], [1.0]], ["a", "a", "a", "b"])[0]
    assert interval.value == 0.5 and interval.n == 2


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).normal(size=(40, 3))
    assert mean_intervals(values, seed=1) == mean_intervals(values, seed=1)
    assert mean_intervals(values, seed=1) != mean_intervals(values, seed=2)


def test_no_spread_and_single_prompts():
    assert [(item.low, item.high) for item in mean_intervals(np.ones((30, 1)))] == [(1.0, 1.0)]
    only = mean_intervals([[3.0]])[0]
    assert (only.value, only.low, only.high, only.n) == (3.0, None, None, 1)
    with pytest.raises(ValueError, match="no prompts"):
        mean_intervals(np.zeros((0, 1)))


def test_many_prompts_are_resampled_in_pieces():
    values = np.random.default_rng(0).normal(size=(30_000, 1))
    interval = mean_intervals(values, resamples=400)[0]
    expected = 1.96 * values.std() / np.sqrt(30_000)
    assert (interval.high - interval.low) / 2 == pytest.approx(expected, rel=0.15)


def test_wins_by_hand():
    ours, theirs = [2.0, -1.0, 0.5, 1.0], [1.0, 1.0, 0.5, -2.0]
    assert wins(ours, theirs).tolist() == [1.0, 0.0, 0.5, 1.0]
    assert wins(ours, theirs).mean() + wins(theirs, ours).mean() == 1.0
