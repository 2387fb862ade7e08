"""Over-optimisation: scores along a PPO run -> the curve of Gao et al. and where it peaks.

Source  Gao, Schulman & Hilton 2023, "Scaling laws for reward model overoptimization", arXiv:2210.10760, §3.1:
        with d = sqrt(KL(policy || initial)), RL gains R(d) = d (alpha - beta log d), best-of-n
        R(d) = d (alpha - beta d)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Form = Literal["log", "linear"]
FORMULAS: dict[Form, str] = {"log": "R(d) = d (α − β log d)", "linear": "R(d) = d (α − β d)"}
ENOUGH = 8  # points, for three numbers to be fitted
TIE = 0.01  # of explained variance: the paper's form for RL is preferred unless the other is clearly better


@dataclass(frozen=True)
class Fit:
    """`start + R(d)`, fitted by least squares; `explained` is the share of variance (R²).

    `peak` is the distance d in sqrt(nats) at which the curve is highest; None where it rises for ever.
    """

    form: Form
    start: float
    alpha: float
    beta: float
    explained: float
    peak: float | None

    def __call__(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """The curve at distances above 0. (N,)"""
        return self.start + _basis(self.form, distances) @ np.array([self.alpha, -self.beta])

    @property
    def formula(self) -> str:
        """The form, in signs."""
        return FORMULAS[self.form]


def fit(distances: Sequence[float], scores: Sequence[float]) -> Fit | None:
    """The better of the two forms; None where there are too few points or they do not spread.

    Args:
        distances: sqrt(KL) from the initial policy, in sqrt(nats). (N,)
        scores: what was scored there. (N,)
    """
    d, y = np.asarray(distances, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    kept = (d > 0) & np.isfinite(y)
    d, y = d[kept], y[kept]
    if len(d) < ENOUGH or np.ptp(d) <= 0 or np.ptp(y) <= 0:
        return None
    paper, other = _fit("log", d, y), _fit("linear", d, y)
    return other if other.explained > paper.explained + TIE else paper


def _basis(form: Form, d: NDArray[np.float64]) -> NDArray[np.float64]:
    """The columns that alpha and -beta multiply. (N, 2)"""
    return np.column_stack([d, d * np.log(d) if form == "log" else d * d])


def _fit(form: Form, d: NDArray[np.float64], y: NDArray[np.float64]) -> Fit:
    design = np.column_stack([np.ones_like(d), _basis(form, d)])
    (start, alpha, bent), *_ = np.linalg.lstsq(design, y, rcond=None)
    beta = -float(bent)
    residual = float(np.sum((y - design @ np.array([start, alpha, bent])) ** 2))
    explained = 1 - residual / float(np.sum((y - y.mean()) ** 2))
    return Fit(form, float(start), float(alpha), beta, explained, _peak(form, float(alpha), beta))


def _peak(form: Form, alpha: float, beta: float) -> float | None:
    """Where the derivative is 0 and the curve bends down: exp(alpha / beta - 1), or alpha / (2 beta)."""
    if beta <= 0:
        return None
    peak = float(np.exp(min(alpha / beta - 1, 700))) if form == "log" else alpha / (2 * beta)
    return peak if peak > 0 else None
