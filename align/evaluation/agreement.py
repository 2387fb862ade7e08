"""Agreement: a reward model's scores of preference pairs -> how often it prefers what people preferred."""

from collections.abc import Sequence

import numpy as np

from align.data.records import PreferencePair
from align.evaluation.rows import ACCURACY, MARGIN
from align.evaluation.win_rate import wins
from align.rewards.learned import LearnedReward


def agreement(model: LearnedReward, pairs: Sequence[PreferencePair]) -> dict[str, list[float]]:
    """Per pair, (N,) each: `accuracy`, 1 where the chosen answer scores higher, half in a tie; `margin`."""
    chosen = np.asarray(model.score_conversations([(*pair.prompt, *pair.chosen) for pair in pairs]))
    rejected = np.asarray(model.score_conversations([(*pair.prompt, *pair.rejected) for pair in pairs]))
    return {ACCURACY: wins(chosen, rejected).tolist(), MARGIN: (chosen - rejected).tolist()}
