"""Weighted means are what one computes by hand, with intervals that cover the ratio they are about."""

import numpy as np
import pytest

from align.evaluation.statistics import mean_intervals
from align.evaluation.weighted import weighted_interval


def test_a_weight_of_one_is_a_plain_mean():
    values = np.random.default_rng(0).integers(0, 2, 80).astype(float)
    (plain,) = mean_intervals(values[:, None], resamples=500, seed=3)
    found = weighted_interval(values, np.ones(80), np.arange(80), resamples=500, seed=3)
    assert (found.value, found.low, found.high, found.n) == pytest.approx(
        (plain.value, plain.low, plain.high, plain.n)
    )


def test_the_value_is_the_ratio_of_sums_and_weightless_rows_do_not_count():
    found = weighted_interval([1, 0, 0.5, 9], [1, 1, 2, 0], [0, 1, 2, 3], resamples=200, seed=0)
    assert found.value == pytest.approx((1 + 0 + 1) / 4) and found.n == 3
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert weighted_interval([1.0], [0.0], [0], resamples=10, seed=0) is None
    alone = weighted_interval([1.0, 0.0], [1, 1], [7, 7], resamples=10, seed=0)
    assert (alone.value, alone.low, alone.high, alone.n) == (0.5, None, None, 1)


@pytest.mark.parametrize("count", [50, 200])
def test_intervals_cover_the_ratio(count):
    """Instructions per prompt vary, and prompts with many are harder: the ratio is not the mean of means."""
    random, covered, trials = np.random.default_rng(5), 0, 300
    chances = {1: 0.8, 2: 0.6, 3: 0.3}
    truth = sum(size * chance for size, chance in chances.items()) / sum(chances)
    for trial in range(trials):
        weights = random.integers(1, 4, count)
        followed = np.array([random.binomial(size, chances[size]) for size in weights])
        found = weighted_interval(followed / weights, weights, np.arange(count), resamples=400, seed=trial)
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / trials <= 0.98
