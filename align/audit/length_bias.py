"""Length bias: preference pairs -> how much longer the chosen answers are, and how often.

What annotators like and what is long are easily confused, by people and by the reward models they train.

Source: Singhal et al. 2023, "A Long Way to Go", arXiv:2310.03716
"""

from dataclasses import dataclass

import numpy as np

from align.audit.completions import Completions
from align.evaluation.statistics import Interval, mean_intervals


@dataclass(frozen=True)
class LengthBias:
    """Chosen less rejected, with 95 % intervals over prompts.

    Attributes:
        characters: mean difference in characters.
        longer: share of the pairs whose chosen answer is the longer one; equally long ones count half.
        log_ratio: mean of log(chosen / rejected); 0.1 is about a tenth longer.
        effect: mean difference over the standard deviation of differences (Cohen's d of paired values).
        mean_chosen: characters of a chosen answer.
        mean_rejected: characters of a rejected answer.
    """

    characters: Interval
    longer: Interval
    log_ratio: Interval
    effect: float
    mean_chosen: float
    mean_rejected: float

    @property
    def is_biased(self) -> bool:
        """Whether the interval of `longer` leaves out one half."""
        low, high = self.longer.low, self.longer.high
        return low is not None and high is not None and not low <= 0.5 <= high


def length_bias(pairs: Completions) -> LengthBias:
    """Measure the bias.

    Raises:
        ValueError: there are no pairs.
    """
    chosen = np.array([len(text) for text in pairs.chosen], dtype=np.float64)
    rejected = np.array([len(text) for text in pairs.rejected], dtype=np.float64)
    difference = chosen - rejected
    table = np.stack(
        [difference, (np.sign(difference) + 1) / 2, np.log((chosen + 1) / (rejected + 1))], axis=1
    )
    characters, longer, log_ratio = mean_intervals(table, pairs.prompts)
    spread = float(difference.std())
    return LengthBias(
        characters,
        longer,
        log_ratio,
        float(difference.mean()) / spread if spread else 0.0,
        float(chosen.mean()),
        float(rejected.mean()),
    )
