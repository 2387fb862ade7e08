"""Curves: how often answers are wrong, by how sure the model was of them.

Source  El-Yaniv and Wiener 2010, "On the Foundations of Noise-free Selective Classification", JMLR 11; area
under the curve: Geifman et al. 2019, arXiv:1805.08206
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from align.evaluation.measure import Answers
from align.evaluation.rows import WRONG_WHEN_ANSWERED
from align.evaluation.statistics import Floats
from align.evaluation.suite import Suite
from align.generation.sampler import Completion

POINTS = 50  # most points that a curve is drawn with


def confidence(completion: Completion) -> float:
    """The geometric mean of the tokens' probabilities, in (0, 1]; 0 for an answer without tokens."""
    return float(np.exp(np.mean(completion.logprobs))) if completion.logprobs else 0.0


def risk_coverage(errors: Floats, confidences: Floats) -> tuple[Floats, Floats]:
    """Coverage and risk when only the surest answers are given, one more at a time. (N,) both.

    Args:
        errors: 1 where the answer is wrong, else 0. (N,)
        confidences: how sure the model was. (N,)
    """
    order = np.argsort(-confidences, kind="stable")
    given = np.arange(1, len(errors) + 1)
    return given / len(errors), errors[order].cumsum() / given


def risk_curves(
    suites: Sequence[Suite], answers: Mapping[str, Mapping[str, Answers]]
) -> Iterator[dict[str, Any]]:
    """One curve per suite and checkpoint whose metric tells wrong answers; abstentions are not covered."""
    for suite in suites:
        for name, given in answers[suite.name].items():
            column = given.columns.get(WRONG_WHEN_ANSWERED)
            if column is None or column.weights is None or not any(column.weights):
                continue
            answered = [row for row, weight in enumerate(column.weights) if weight]
            sure = np.asarray([confidence(given.completions[row]) for row in answered])
            coverage, risk = risk_coverage(np.asarray(column.values)[answered], sure)
            shown = np.unique(np.linspace(0, len(answered) - 1, POINTS).round().astype(int))
            yield {
                "kind": "risk_coverage",
                "suite": suite.name,
                "checkpoint": name,
                "answered": len(answered),
                "area": float(risk.mean()),
                "points": [[float(coverage[row]), float(risk[row])] for row in shown],
            }
