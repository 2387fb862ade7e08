"""Equal length: verdicts and how long the answers were -> the win rate had they been equally long.

A logistic regression on the difference in length, read where it is zero. It has the length term of
length-controlled AlpacaEval (Dubois et al. 2024, arXiv:2404.04475, eq. 2) and not its term for how hard an
instruction is, which needs other models' verdicts on the same instructions: hence another name.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from align.evaluation.logit import fit_logit
from align.evaluation.statistics import Interval


def rate_at_equal_length(values: ArrayLike, differences: ArrayLike) -> Interval | None:
    """The win rate at a difference in length of zero, with its 95 % interval.

    Args:
        values: per prompt, how much of the comparison was won, from 0 to 1. (C,)
        differences: per prompt, own length less the other's, in any unit. (C,)

    Returns:
        None where it cannot be known: answers of one side are always longer, their lengths never differ
        (then the raw win rate says it all), or one side always wins.
    """
    won, longer = np.asarray(values, dtype=np.float64), np.asarray(differences, dtype=np.float64)
    spread = longer.std()
    if len(won) < 3 or not spread or not longer.min() <= 0 <= longer.max():
        return None
    design = np.stack([np.ones_like(longer), np.tanh(longer / spread)], axis=1)[:, None, :]
    fitted = fit_logit(design, won[:, None], np.ones((len(won), 1)))
    if fitted is None:
        return None
    value, low, high = (float(expit(bound)) for bound in fitted.interval([1.0, 0.0]))
    return Interval(value, low, high, len(won))
