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
ENOUGH = 8  # points, for two numbers to be fitted
TIE = 0.01  # of explained variance: the paper's form for RL is preferred unless the other is clearly better


@dataclass(frozen=True)
class Fit:
    """R(d), fitted by least squares; `explained` is the share of the variance (R²), below 0 for a bad fit.

    `peak` is the distance d in sqrt(nats) at which the curve is highest; None where it rises for ever.
    """

    form: Form
    alpha: float
    beta: float
    explained: float
    peak: float | None

    def __call__(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """The curve at distances above 0. (N,)"""
        gains: NDArray[np.float64] = _basis(self.form, distances) @ np.array([self.alpha, -self.beta])
        return gains

    @property
    def formula(self) -> str:
        """The form, in signs."""
        return FORMULAS[self.form]


def fit(distances: Sequence[float], gains: Sequence[float]) -> Fit | None:
    """The better of the two forms; None where there are too few points or they do not spread.

    Args:
        distances: sqrt(KL) from the initial policy, in sqrt(nats). (N,)
        gains: what was scored there, less what was scored at the start. (N,)
    """
    d, y = np.asarray(distances, dtype=np.float64), np.asarray(gains, dtype=np.float64)
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
    design = _basis(form, d)
    (alpha, bent), *_ = np.linalg.lstsq(design, y, rcond=None)
    beta = -float(bent)
    residual = float(np.sum((y - design @ np.array([alpha, bent])) ** 2))
    explained = 1 - residual / float(np.sum((y - y.mean()) ** 2))
    return Fit(form, float(alpha), beta, explained, _peak(form, float(alpha), beta))


def _peak(form: Form, alpha: float, beta: float) -> float | None:
    """Where the derivative is 0 and the curve bends down: exp(alpha / beta - 1), or alpha / (2 beta)."""
    if beta <= 0:
        return None
    peak = float(np.exp(min(alpha / beta - 1, 700))) if form == "log" else alpha / (2 * beta)
    return peak if peak > 0 else None
