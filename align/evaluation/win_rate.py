"""Win rate: two checkpoints' scores on the same prompts -> who did better, prompt by prompt."""

import numpy as np
from numpy.typing import ArrayLike

from align.evaluation.statistics import Floats


def wins(scores: ArrayLike, baseline: ArrayLike) -> Floats:
    """1 where the score beats the baseline's, 0 where it loses, a half where they tie. (N,) each.

    The mean is the win rate; ties count half for both sides, so that the two directions add up to 1.
    """
    ours, theirs = np.asarray(scores, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    return (1 + np.sign(ours - theirs)) / 2
