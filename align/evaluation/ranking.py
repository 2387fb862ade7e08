"""Ranking: comparisons of any number of checkpoints -> a strength of each, with its interval.

Source  Bradley and Terry 1952; Ford 1957, "Solution of a ranking problem from binary comparisons"
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.csgraph import connected_components

from align.evaluation.logit import Logit, fit_logit
from align.evaluation.statistics import Floats

Pair = tuple[str, str]  # (checkpoint, baseline)


@dataclass(frozen=True)
class Strength:
    """A checkpoint's log-odds of winning against the average of all, with its 95 % interval, and its rank.

    `rank` is 1 + how many others are surely stronger: the interval of the difference lies above 0.
    """

    checkpoint: str
    value: float
    low: float
    high: float
    rank: int


@dataclass(frozen=True)
class Ranking:
    """Strengths, the strongest first; empty where there are none, for the reason in `problem`."""

    strengths: Sequence[Strength] = ()
    problem: str | None = None


def bradley_terry(pairs: Sequence[Pair], values: ArrayLike) -> Ranking:
    """Strengths of all checkpoints in `pairs`.

    The estimand is marginal: the strengths that best explain how often each beats each on a prompt drawn at
    random. Where prompts suit some checkpoints more than others, these are nearer to each other than on any
    one prompt.

    Args:
        pairs: who is compared with whom. (M,)
        values: per prompt, how much of each comparison the first of the pair won, from 0 to 1; NaN where the
            two were not compared. A prompt has one row. (C, M)
    """
    table = np.asarray(values, dtype=np.float64)
    table = table[~np.isnan(table).all(axis=1)]  # what nobody judged is no evidence and no cluster
    names = sorted({name for pair in pairs for name in pair})
    trials = ~np.isnan(table)
    if problem := _problem(names, pairs, table, trials):
        return Ranking(problem=problem)
    # The last checkpoint is the zero; contrasts with the mean do not depend on which one is.
    design = np.asarray([[(name == one) - (name == other) for name in names] for one, other in pairs], float)
    fitted = fit_logit(design[:, :-1], table, trials)
    if fitted is None:
        return Ranking(problem="somebody wins or loses nearly always: no finite strengths fit best")
    strengths = [_strength(index, names, fitted) for index in range(len(names))]
    return Ranking(sorted(strengths, key=lambda item: -item.value))


def _strength(index: int, names: Sequence[str], fitted: Logit) -> Strength:
    one = np.eye(len(names))
    average = np.full(len(names), 1 / len(names))
    value, low, high = fitted.interval((one[index] - average)[:-1])
    stronger = [
        other for other in range(len(names))
        if other != index and fitted.interval((one[other] - one[index])[:-1])[1] > 0
    ]  # fmt: skip
    return Strength(names[index], value, low, high, 1 + len(stronger))


def _problem(names: Sequence[str], pairs: Sequence[Pair], table: Floats, trials: Floats) -> str | None:
    """Why there are no strengths: some are not compared with others, or some never lose to others."""
    if len(table) < 2:
        return "there are fewer than two prompts with verdicts"
    compared, won = np.zeros((2, len(names), len(names)))
    for (one, other), share, count in zip(pairs, np.nansum(table, axis=0), trials.sum(axis=0), strict=True):
        ours, theirs = names.index(one), names.index(other)
        compared[ours, theirs] += count
        won[ours, theirs] += share
        won[theirs, ours] += count - share
    parts, part = connected_components(compared, directed=False)
    if parts > 1:
        groups = [
            ", ".join(name for name, own in zip(names, part, strict=True) if own == k) for k in range(parts)
        ]
        return f"not compared with each other, not even through others: {' | '.join(groups)}"
    parts, part = connected_components(won, directed=True, connection="strong")
    if parts > 1:
        groups = [
            ", ".join(name for name, own in zip(names, part, strict=True) if own == k) for k in range(parts)
        ]
        return f"some never lose to the others, so that no strength is large enough: {' | '.join(groups)}"
    return None
