"""Statistics: values per prompt -> means with bootstrap intervals.

Source  Efron 1979, "Bootstrap methods"; Hesterberg 2015, arXiv:1411.5279, §3.2 (expanded percentile
interval); Clopper and Pearson 1934 (shares where every prompt says the same).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtrit
from scipy.stats import binomtest

Floats = NDArray[np.float64]

_CHUNK = 2_000_000  # resampling weights held at once: 16 MB


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over `n` prompts and where it lies; no bounds where one prompt leaves nothing to resample."""

    value: float
    low: float | None
    high: float | None
    n: int


def mean_intervals(
    values: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> list[Interval]:
    """Mean and interval of each column, all columns resampled alike.

    The estimand is the mean over clusters of each cluster's mean: rows of one prompt are no independent
    evidence. The percentile interval is widened by the ratio of Student's t to the normal, which a
    percentile interval of few prompts lacks.

    Args:
        values: one row per observation, one column per quantity. (N, K)
        clusters: which prompt each row belongs to; null when every row is its own. (N,)
        resamples: bootstrap resamples.
        level: wanted coverage.
        seed: of the resampling.

    Returns:
        One interval per column, `n` being the number of clusters. (K,)

    Raises:
        ValueError: there are no observations.
    """
    table = _cluster_means(np.asarray(values, dtype=np.float64), clusters)
    count = len(table)
    means = table.mean(axis=0)
    if count == 1:
        return [Interval(float(mean), None, None, 1) for mean in means]
    tail = float(ndtr(np.sqrt(count / (count - 1)) * stdtrit(count - 1, (1 - level) / 2)))
    low, high = np.quantile(_resampled_means(table, resamples, seed), [tail, 1 - tail], axis=0)
    return [
        Interval(float(mean), float(below), float(above), count)
        for mean, below, above in zip(means, low, high, strict=True)
    ]


def of_share(found: Interval) -> Interval:
    """The interval of a share: an exact one where all prompts say 0 or all say 1.

    Resampling takes that for certain, however few they are.
    """
    if found.n == 1 or found.value not in (0.0, 1.0):
        return found
    exact = binomtest(round(found.value * found.n), found.n).proportion_ci()
    return Interval(found.value, float(exact.low), float(exact.high), found.n)


def _cluster_means(values: Floats, clusters: ArrayLike | None) -> Floats:
    """One row per cluster: (C, K)."""
    if len(values) == 0:
        raise ValueError("there is nothing to average: no prompts")
    if clusters is None:
        return values
    _, index, sizes = np.unique(np.asarray(clusters), return_inverse=True, return_counts=True)
    sums = np.zeros((len(sizes), values.shape[1]))
    np.add.at(sums, index, values)
    return sums / sizes[:, None]


def _resampled_means(table: Floats, resamples: int, seed: int) -> Floats:
    """Means over clusters drawn with replacement: (resamples, K)."""
    count = len(table)
    is_small = resamples * count <= _CHUNK
    draws = [_kept_draw(count, resamples, seed)] if is_small else _draws(count, resamples, seed)
    return np.concatenate([drawn @ table / count for drawn in draws])


@lru_cache(maxsize=8)
def _kept_draw(count: int, resamples: int, seed: int) -> Floats:
    """The only chunk of a small draw, kept: one evaluation asks for the same many times."""
    return next(_draws(count, resamples, seed)).astype(np.float64)


def _draws(count: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each cluster is drawn, a chunk of resamples after the other: (up to resamples, count)."""
    random = np.random.default_rng(seed)
    step = max(1, _CHUNK // count)
    shares = np.full(count, 1 / count)
    for start in range(0, resamples, step):
        yield random.multinomial(count, shares, size=min(step, resamples - start))
