"""Ensemble: several reward models -> what they agree on.

Source  Coste et al. 2023, "Reward Model Ensembles Help Mitigate Overoptimization", arXiv:2310.02743, who
        subtract the variance; the deviation has the unit of a score
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from align.rewards.composed import Composed
from align.rewards.source import RewardSource


class Ensemble(Composed):
    """The mean of several reward models less `penalty` of their standard deviations.

    They should differ in what they do not know: trained with other seeds, or on other halves of the pairs. In
    YAML every source is a `_target_` leaf of its own.
    """

    def __init__(self, sources: Mapping[str, RewardSource], penalty: float = 1.0) -> None:
        if len(sources) < 2:
            raise ValueError(f"sources: an ensemble needs two or more, not {len(sources)}")
        if penalty < 0:
            raise ValueError(f"penalty: {penalty} pays for disagreement; set it to 0 or above")
        super().__init__(sources)
        self._penalty = penalty

    def total(self, parts: Mapping[str, Sequence[float]]) -> list[float]:
        """Mean less `penalty` of the sources' standard deviations. (B,)"""
        return [self._agreed(row) for row in zip(*parts.values(), strict=True)]

    def _agreed(self, scores: Sequence[float]) -> float:
        if not all(score is not None and math.isfinite(score) for score in scores):
            return math.nan
        return statistics.fmean(scores) - self._penalty * statistics.pstdev(scores)
