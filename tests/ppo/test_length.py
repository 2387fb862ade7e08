"""A score that rises because answers grow is told from one that rises at every length."""

import numpy as np
import pytest

from align.ppo.length import LengthLine


def test_the_line_is_that_of_least_squares() -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(1, 60, 200).tolist()
    scores = (0.3 * np.log(lengths) - 1 + random.normal(size=200)).tolist()
    slope, intercept = np.polyfit(np.log(lengths), scores, 1)
    line = LengthLine.through(lengths, scores)
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept), abs=1e-12)
    assert line.excess(lengths, scores) == pytest.approx(0, abs=1e-12)


def test_longer_answers_alone_are_no_rise() -> None:
    lengths = [2, 4, 8, 16, 32]
    scores = [np.log(length) for length in lengths]
    line = LengthLine.through(lengths, scores)
    assert line.excess([32, 32], [np.log(32)] * 2) == pytest.approx(0, abs=1e-12)
    assert line.excess([32, 2], [np.log(32) + 0.5, np.log(2) + 0.5]) == pytest.approx(0.5)


@pytest.mark.parametrize(("lengths", "scores"), [([], []), ([7], [1.5]), ([7, 7], [1.0, 2.0])])
def test_one_length_or_none_gives_a_flat_line(lengths: list[int], scores: list[float]) -> None:
    line = LengthLine.through(lengths, scores)
    assert line.slope == 0
    assert line.excess(lengths, scores) == pytest.approx(0)
    assert line.excess([], []) == 0
