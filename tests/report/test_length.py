"""Rank correlation by hand is that of scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from align.report.length import spearman

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.floats(-5, 5)), min_size=3, max_size=40)


@given(PAIRS)
def test_it_is_scipys(pairs: list[tuple[int, float]]) -> None:
    one, other = np.asarray(pairs, dtype=np.float64).T
    if np.ptp(one) and np.ptp(other):
        assert spearman(one, other) == pytest.approx(spearmanr(one, other).statistic)
