"""The fitted curve of Gao et al. is found again from its own points, and peaks where its derivative is 0."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from align.report.overoptimisation import fit


@pytest.mark.parametrize("alpha, beta", [(1.0, 0.5), (2.0, 1.5), (0.3, 0.2)])
def test_the_curve_for_rl_is_found_again(alpha: float, beta: float) -> None:
    d = np.linspace(0.05, 6, 50)
    found = fit(d, d * (alpha - beta * np.log(d)))
    assert found is not None and found.form == "log"
    assert (found.alpha, found.beta, found.explained) == pytest.approx((alpha, beta, 1.0))
    assert found.peak == pytest.approx(math.exp(alpha / beta - 1))
    highest = minimize_scalar(
        lambda x: -x * (alpha - beta * math.log(x)), bounds=(1e-6, 50), method="bounded"
    )
    assert found.peak == pytest.approx(highest.x, rel=1e-3)


def test_the_curve_for_best_of_n_is_told_from_it() -> None:
    d = np.linspace(0.05, 6, 50)
    found = fit(d, d * (2.0 - 0.4 * d))
    assert found is not None and found.form == "linear"
    assert (found.alpha, found.beta, found.peak) == pytest.approx((2.0, 0.4, 2.5))


def test_noise_moves_the_peak_little() -> None:
    d = np.linspace(0.05, 6, 200)
    noisy = d * (1.0 - 0.5 * np.log(d)) + np.random.default_rng(0).normal(0, 0.1, d.shape)
    found = fit(d, noisy)
    assert found is not None and found.peak == pytest.approx(math.e, rel=0.05)
    assert 0.9 < found.explained < 1


def test_a_floor_that_is_hit_later_does_not_move_the_peak() -> None:
    d = np.linspace(0.05, 20, 200)
    found = fit(d, np.maximum(d * (1.0 - 0.5 * np.log(d)), -1.0))
    assert found is not None and found.peak == pytest.approx(math.e, rel=0.02)
    assert found.reach == pytest.approx(math.e**2, abs=0.4)  # where the curve is back at its start


def test_what_only_rises_has_no_peak() -> None:
    d = np.linspace(0.05, 6, 50)
    found = fit(d, d * (0.5 + 0.2 * np.log(d)))
    assert found is not None and found.peak is None


@pytest.mark.parametrize("d, gains", [([0.1] * 20, range(20)), (range(5), range(5)), (range(20), [1.0] * 20)])
def test_too_little_to_fit_is_no_curve(d: list[float], gains: list[float]) -> None:
    assert fit(list(d), list(gains)) is None
