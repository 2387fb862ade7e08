"""Strengths, win rates at equal length, their intervals: planted truths come back, intervals cover them."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from align.evaluation.equal_length import rate_at_equal_length
from align.evaluation.pairwise import holm_adjusted
from align.evaluation.ranking import bradley_terry
from align.evaluation.statistics import mean_intervals, of_share

NAMES = ("a", "b", "c", "d")
PLANTED = np.asarray([0.9, 0.3, -0.2, -1.0])
INDEX = list(combinations(range(4), 2))
PAIRS = [(NAMES[one], NAMES[other]) for one, other in INDEX]
SIMULATIONS = 2000


def draws(random: np.random.Generator, prompts: int, simulations: int, spread: float) -> np.ndarray:
    """Shares won, two verdicts per prompt and pair: every prompt shifts every checkpoint. (S, C, 6)"""
    strengths = PLANTED + spread * random.normal(size=(simulations, prompts, 4))
    chances = [expit(strengths[..., one] - strengths[..., other]) for one, other in INDEX]
    return random.binomial(2, np.stack(chances, axis=-1)) / 2


def marginal(spread: float) -> np.ndarray:
    """How often each pair's first wins on a prompt drawn at random, by quadrature. (6,)"""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    gaps = np.asarray([PLANTED[one] - PLANTED[other] for one, other in INDEX])
    return (weights / weights.sum()) @ expit(gaps + np.sqrt(2) * spread * nodes[:, None])


def likeliest(chances: np.ndarray) -> np.ndarray:
    """The strengths, adding up to 0, that explain such chances best: what is estimated. (4,)"""

    def loss(free: np.ndarray) -> float:
        all_four = np.append(free, -free.sum())
        gaps = np.asarray([all_four[one] - all_four[other] for one, other in INDEX])
        return -float((chances * np.log(expit(gaps)) + (1 - chances) * np.log(expit(-gaps))).sum())

    free = minimize(loss, np.zeros(3), tol=1e-12).x
    return np.append(free, -free.sum())


def test_planted_strengths_are_recovered():
    values = draws(np.random.default_rng(0), 20_000, 1, spread=0.0)[0]
    found = bradley_terry(PAIRS, values)
    assert [item.checkpoint for item in found.strengths] == list(NAMES)
    assert [item.value for item in found.strengths] == pytest.approx(PLANTED - PLANTED.mean(), abs=0.03)
    assert [item.rank for item in found.strengths] == [1, 2, 3, 4]


def test_strengths_are_those_of_a_regression_on_every_row():
    values = draws(np.random.default_rng(1), 60, 1, spread=1.0)[0]
    values[:20, 2] = np.nan  # not every prompt has every pair
    rows, won, weight = [], [], []
    for (one, other), column in zip(INDEX, values.T, strict=True):
        for value in column[~np.isnan(column)]:
            for outcome, share in ((1, value), (0, 1 - value)):
                rows.append(np.eye(4)[one] - np.eye(4)[other])
                won.append(outcome)
                weight.append(share)
    alone = LogisticRegression(fit_intercept=False, C=1e9, tol=1e-10, max_iter=5000).fit(rows, won, weight)
    expected = alone.coef_[0] - alone.coef_[0].mean()
    found = {item.checkpoint: item.value for item in bradley_terry(PAIRS, values).strengths}
    assert [found[name] for name in NAMES] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("prompts", [50, 200, pytest.param(800, marks=pytest.mark.slow)])
def test_intervals_cover_the_marginal_truth(prompts: int) -> None:
    """2,000 studies of one kind: 93 to 97 % of their intervals hold what they estimate."""
    values = draws(np.random.default_rng(prompts), prompts, SIMULATIONS, spread=1.0)
    chances = marginal(1.0)
    truth = likeliest(chances)
    assert np.abs(truth - (PLANTED - PLANTED.mean())).max() > 0.2, (
        "the planted strengths are not the estimand"
    )

    hits = np.zeros((SIMULATIONS, 4))
    for study, table in enumerate(values):
        for item in bradley_terry(PAIRS, table).strengths:
            place = NAMES.index(item.checkpoint)
            hits[study, place] = item.low <= truth[place] <= item.high
    assert ((hits.mean(axis=0) >= 0.93) & (hits.mean(axis=0) <= 0.97)).all(), hits.mean(axis=0)

    columns = values.transpose(1, 0, 2).reshape(prompts, -1)
    rates = mean_intervals(columns, resamples=1500, seed=1)
    known = zip(rates, np.tile(chances, SIMULATIONS), strict=True)
    covered = np.reshape([item.low <= chance <= item.high for item, chance in known], (SIMULATIONS, 6))
    assert ((covered.mean(axis=0) >= 0.93) & (covered.mean(axis=0) <= 0.97)).all(), covered.mean(axis=0)


@pytest.mark.parametrize("prompts", [50, 200, pytest.param(800, marks=pytest.mark.slow)])
def test_the_rate_at_equal_length_covers_what_was_planted(prompts: int) -> None:
    """A judge that likes length by itself: the raw rate is off, the rate at equal length is not."""
    random = np.random.default_rng(prompts + 1)
    longer = random.normal(0.7, 1.0, size=(SIMULATIONS, prompts))
    won = random.random(longer.shape) < expit(0.4 + 1.2 * np.tanh(longer))
    found = [rate_at_equal_length(*study) for study in zip(won, longer, strict=True)]
    known = [item for item in found if item is not None]
    covered = np.mean([item.low <= expit(0.4) <= item.high for item in known])
    assert len(known) > 0.98 * SIMULATIONS
    assert 0.93 <= covered <= 0.97, covered
    assert won.mean() > expit(0.4) + 0.08
    assert np.mean([item.value for item in known]) == pytest.approx(expit(0.4), abs=0.012)


def test_a_planted_length_effect_is_removed() -> None:
    random = np.random.default_rng(0)
    longer = random.normal(300, 400, size=4000)
    won = (random.random(4000) < expit(1.5 * np.tanh(longer / 400))).astype(float)  # equally good answers
    found = rate_at_equal_length(won, longer)
    assert won.mean() > 0.63
    assert found.low < 0.5 < found.high and found.value == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    "won, longer",
    [
        ([1, 0, 1, 0], [5, 5, 5, 5]),
        ([1, 0, 1, 0], [3, 4, 5, 6]),
        ([1, 1, 1, 1], [-2, 1, 3, 2]),
        ([1, 0], [1, -1]),
    ],
)
def test_what_cannot_be_known_at_equal_length_is_not_told(
    won: Sequence[float], longer: Sequence[float]
) -> None:
    assert rate_at_equal_length(won, longer) is None


def test_checkpoints_that_never_met_have_no_common_scale():
    found = bradley_terry([("a", "b"), ("c", "d")], np.full((40, 2), 0.5))
    assert not found.strengths and "a, b | c, d" in found.problem


def test_one_that_never_loses_has_no_finite_strength():
    found = bradley_terry([("a", "b")], np.ones((40, 1)))
    assert not found.strengths and "never lose" in found.problem


def test_who_is_not_surely_weaker_shares_a_rank():
    values = draws(np.random.default_rng(3), 40, 1, spread=1.0)[0][:, :1]
    values[:] = np.tile([1.0, 0.0, 0.5, 0.5], 10)[:, None]
    assert [item.rank for item in bradley_terry([("a", "b")], values).strengths] == [1, 1]


def test_a_clean_sweep_is_not_certain():
    found = of_share(mean_intervals(np.ones((40, 1)))[0])
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 40))
    never = of_share(mean_intervals(np.zeros((40, 1)))[0])
    assert (never.low, never.high) == (0.0, pytest.approx(1 - found.low))
    mixed = mean_intervals(np.arange(40)[:, None] % 2)[0]
    assert of_share(mixed) == mixed


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_holm_is_its_definition(tests: list[float]) -> None:
    ordered = sorted(tests)
    steps = [min(1.0, (len(tests) - place) * p) for place, p in enumerate(ordered)]
    expected = {p: max(steps[: ordered.index(p) + 1]) for p in tests}
    found = holm_adjusted(tests)
    assert all(f >= p for f, p in zip(found, tests, strict=True))
    for p, f in zip(tests, found, strict=True):
        if tests.count(p) == 1:
            assert f == pytest.approx(expected[p])


def test_prompts_without_verdicts_are_no_evidence():
    values = np.full((100, 1), np.nan)
    values[0] = 2 / 3
    assert bradley_terry([("a", "b")], values).problem == "there are fewer than two prompts with verdicts"
    values[1:4] = [[1 / 3], [1.0], [2 / 3]]
    assert bradley_terry([("a", "b")], values) == bradley_terry([("a", "b")], values[:4])
