"""Agreement: a reward model's scores of preference pairs -> how often it prefers what people preferred."""

from collections.abc import Sequence

import numpy as np

from align.data.records import PreferencePair
from align.evaluation.rows import ACCURACY, MARGIN
from align.evaluation.statistics import Floats
from align.evaluation.win_rate import wins
from align.rewards.learned import LearnedReward


def score_pairs(model: LearnedReward, pairs: Sequence[PreferencePair]) -> tuple[Floats, Floats]:
    """Scores of the chosen and of the rejected answers. (N,) each"""
    chosen = model.score_conversations([(*pair.prompt, *pair.chosen) for pair in pairs])
    rejected = model.score_conversations([(*pair.prompt, *pair.rejected) for pair in pairs])
    return np.asarray(chosen, dtype=np.float64), np.asarray(rejected, dtype=np.float64)


def agreement(chosen: Floats, rejected: Floats) -> dict[str, list[float]]:
    """Per pair, (N,) each: `accuracy`, 1 where the chosen answer scores higher, half in a tie; `margin`."""
    return {ACCURACY: wins(chosen, rejected).tolist(), MARGIN: (chosen - rejected).tolist()}
