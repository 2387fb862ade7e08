"""Reward quality: a reward model's scores of preference pairs -> what can be trusted before it pays a policy.

Writes  reward_models.json, whose shape docs/evaluation.md tells
Source  Guo et al. 2017, "On calibration", arXiv:1706.04599 (expected calibration error);
        Singhal et al. 2023, "A long way to go", arXiv:2310.03716 (reward and length)
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.special import expit, log_expit
from scipy.stats import spearmanr

from align.data.records import PreferencePair
from align.evaluation.agreement import pairs_interval, prompts_of
from align.evaluation.statistics import Floats
from align.evaluation.win_rate import wins

# By how much the chosen answer is longer than the rejected one, as a share of the longer of the two.
LENGTH_BINS = (
    ("much shorter", -1.0, -0.5),
    ("shorter", -0.5, -0.1),
    ("alike", -0.1, 0.1),
    ("longer", 0.1, 0.5),
    ("much longer", 0.5, 1.0 + 1e-9),
)
CONFIDENCES = 10  # bins between 0.5 and 1
MARGINS = 21  # bins of the histogram, the middle one around 0


def reward_quality(
    pairs: Sequence[PreferencePair],
    chosen: Floats,
    rejected: Floats,
    sources: Mapping[str, Sequence[int]],
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """What scores of preference pairs say about the model that gave them, as JSON holds it.

    Args:
        pairs: what people preferred. (N,)
        chosen: scores of the chosen answers. (N,)
        rejected: scores of the rejected ones. (N,)
        sources: name -> rows that come from it.
        resamples: of the bootstrap over prompts.
        seed: of the resampling.
    """
    right, margins = wins(chosen, rejected), chosen - rejected
    prompts = prompts_of(pairs)
    characters = np.asarray([(_length(pair.chosen), _length(pair.rejected)) for pair in pairs], dtype=float)

    def accuracy(rows: Any) -> dict[str, Any]:
        found = pairs_interval(right[rows], prompts[rows], resamples=resamples, seed=seed)
        return {**asdict(found), "pairs": int(len(right[rows]))}

    share = (characters[:, 0] - characters[:, 1]) / characters.max(axis=1).clip(min=1)
    binned = {label: (share >= low) & (share < high) for label, low, high in LENGTH_BINS}
    return {
        "accuracy": accuracy(slice(None)),
        "by_source": {name: accuracy(list(rows)) for name, rows in sources.items() if len(rows)},
        "by_length": {label: accuracy(rows) for label, rows in binned.items() if rows.any()},
        "log_loss": float(-log_expit(margins).mean()),
        "calibration": calibration(margins),
        "margins": _histogram(margins),
        "length": _length_bias(chosen, rejected, characters),
    }


def calibration(margins: Floats) -> dict[str, Any]:
    """How sure the model is against how often it is right; ties count half.

    Its confidence in a pair is the Bradley-Terry chance of the answer that it prefers, from 0.5 to 1.

    Args:
        margins: score of the chosen answer less that of the rejected one. (N,)

    Returns:
        `ece`, the mean gap between the two, weighted by pairs; `bins` with low, high, pairs, confidence and
        accuracy, those without pairs left out.
    """
    confidence, right = expit(np.abs(margins)), (1 + np.sign(margins)) / 2
    edges = np.linspace(0.5, 1.0, CONFIDENCES + 1)
    place = np.clip(np.digitize(confidence, edges) - 1, 0, CONFIDENCES - 1)
    bins = [
        {
            "low": float(edges[index]),
            "high": float(edges[index + 1]),
            "pairs": int((place == index).sum()),
            "confidence": float(confidence[place == index].mean()),
            "accuracy": float(right[place == index].mean()),
        }
        for index in range(CONFIDENCES)
        if (place == index).any()
    ]
    gaps = sum(item["pairs"] * abs(item["confidence"] - item["accuracy"]) for item in bins)
    return {"ece": float(gaps / len(margins)), "bins": bins}


def _histogram(margins: Floats) -> dict[str, list[float]]:
    reach = float(np.quantile(np.abs(margins), 0.99)) or 1.0
    edges = np.linspace(-reach, reach, MARGINS + 1)
    counts, _ = np.histogram(np.clip(margins, -reach, reach), edges)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def _length_bias(chosen: Floats, rejected: Floats, characters: Floats) -> dict[str, float | None]:
    differ = characters[:, 0] != characters[:, 1]
    longer = np.where(characters[:, 0] > characters[:, 1], chosen - rejected, rejected - chosen)[differ]
    return {
        "score_correlation": _correlation(np.concatenate([chosen, rejected]), characters.T.ravel()),
        "margin_correlation": _correlation(chosen - rejected, characters[:, 0] - characters[:, 1]),
        "longer_preferred": float(wins(longer, np.zeros_like(longer)).mean()) if differ.any() else None,
        "longer_chosen": float((characters[:, 0] > characters[:, 1])[differ].mean())
        if differ.any()
        else None,
    }


def _correlation(one: Floats, other: Floats) -> float | None:
    """Spearman's; None where one of the two does not vary."""
    if len(one) < 2 or not np.ptp(one) or not np.ptp(other):
        return None
    return float(spearmanr(one, other).statistic)


def _length(turns: Sequence[Any]) -> int:
    return sum(len(turn.content) for turn in turns)
