"""Agreement: a reward model's scores of preference pairs -> how often it prefers what people preferred.

Every pair counts alike, as in the literature; intervals resample prompts, for pairs of one prompt are no
independent evidence.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from align.data.records import PreferencePair
from align.evaluation.judged import prompt_name
from align.evaluation.rows import ACCURACY, MARGIN, Row
from align.evaluation.statistics import Floats, Interval
from align.evaluation.weighted import weighted_interval
from align.evaluation.win_rate import wins
from align.rewards.learned import LearnedReward


def score_pairs(model: LearnedReward, pairs: Sequence[PreferencePair]) -> tuple[Floats, Floats]:
    """Scores of the chosen and of the rejected answers. (N,) each"""
    chosen = model.score_conversations([(*pair.prompt, *pair.chosen) for pair in pairs])
    rejected = model.score_conversations([(*pair.prompt, *pair.rejected) for pair in pairs])
    return np.asarray(chosen, dtype=np.float64), np.asarray(rejected, dtype=np.float64)


def prompts_of(pairs: Sequence[PreferencePair]) -> NDArray[Any]:
    """Which prompt each pair answers. (N,)"""
    return np.asarray([prompt_name(pair.prompt) for pair in pairs])


def pairs_interval(values: ArrayLike, prompts: ArrayLike, *, resamples: int, seed: int) -> Interval:
    """Mean over pairs and where it lies; `n` counts prompts. (N,), (N,)

    Raises:
        ValueError: there are no pairs.
    """
    found = weighted_interval(values, np.ones(np.shape(values)), prompts, resamples=resamples, seed=seed)
    if found is None:
        raise ValueError("there is nothing to average: no pairs")
    return found


def agreement_rows(
    model: str,
    of: str,
    pairs: Sequence[PreferencePair],
    chosen: Floats,
    rejected: Floats,
    *,
    resamples: int,
    seed: int,
) -> Iterator[Row]:
    """`accuracy`, the share of pairs whose chosen answer scores higher, ties half; and the mean `margin`."""
    prompts = prompts_of(pairs)
    for metric, values in ((ACCURACY, wins(chosen, rejected)), (MARGIN, chosen - rejected)):
        found = pairs_interval(values, prompts, resamples=resamples, seed=seed)
        yield Row(model, of, metric, found.value, found.low, found.high, found.n)
