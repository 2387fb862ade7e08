"""Weighted: values that do not all count alike -> their weighted mean with an interval.

Source  Cochran 1977, "Sampling Techniques", 3rd ed., §6.3: a ratio's variance is that of its residuals
"""

import numpy as np
from numpy.typing import ArrayLike

from align.evaluation.statistics import Interval, mean_intervals


def weighted_interval(
    values: ArrayLike, weights: ArrayLike, clusters: ArrayLike, *, resamples: int, seed: int
) -> Interval | None:
    """sum(w v) / sum(w) and where it lies; None where nothing has weight.

    Prompts are resampled by what each adds to the ratio beyond its share, so that numerator and denominator
    vary together. `n` counts the prompts that have weight.

    Args:
        values: one per observation. (N,)
        weights: at least 0. (N,)
        clusters: which prompt each observation belongs to. (N,)
        resamples: bootstrap resamples.
        seed: of the resampling.
    """
    given, weighed = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    counted = weighed > 0
    if not counted.any():
        return None
    _, index = np.unique(np.asarray(clusters)[counted], return_inverse=True)
    totals = np.zeros((index.max() + 1, 2))  # weight, weight x value
    np.add.at(totals, index, np.stack([weighed[counted], weighed[counted] * given[counted]], axis=1))
    ratio = float(totals[:, 1].sum() / totals[:, 0].sum())
    residuals = (totals[:, 1] - ratio * totals[:, 0]) / totals[:, 0].mean()
    (found,) = mean_intervals(residuals[:, None], resamples=resamples, seed=seed)
    if found.low is None or found.high is None:
        return Interval(ratio, None, None, found.n)
    lowest, highest = given[counted].min(), given[counted].max()
    low, high = (float(np.clip(ratio + bound, lowest, highest)) for bound in (found.low, found.high))
    return Interval(ratio, low, high, found.n)
