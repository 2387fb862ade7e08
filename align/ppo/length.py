"""Length: how much of a rise in score is only that answers have become longer, or shorter.

Source  Dubois et al. 2024, arXiv:2404.04475, who ask the same of win rates
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LengthLine:
    """What the first rollout scored by length: `intercept + slope * log(length)`."""

    intercept: float
    slope: float

    @classmethod
    def through(cls, lengths: Sequence[float], scores: Sequence[float]) -> "LengthLine":
        """Least squares; flat where there is one length only. Both (B,), lengths in tokens, 1 or more."""
        if not scores:
            return cls(0.0, 0.0)
        logs = np.log(np.asarray(lengths, dtype=np.float64))
        spread, mean = np.var(logs), float(np.mean(scores))
        slope = float(np.mean((logs - logs.mean()) * np.asarray(scores)) / spread) if spread > 0 else 0.0
        return cls(mean - slope * float(logs.mean()), slope)

    def excess(self, lengths: Sequence[float], scores: Sequence[float]) -> float:
        """Mean score beyond what completions of such lengths scored at first; 0 where there are none."""
        if not scores:
            return 0.0
        expected = self.intercept + self.slope * np.log(np.asarray(lengths, dtype=np.float64))
        return float(np.mean(np.asarray(scores) - expected))
