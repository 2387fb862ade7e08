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
WINDOW = 5  # gains, in the order of their distances, whose mean is looked at
TIE = 0.01  # of explained variance: the paper's form for RL is preferred unless the other is clearly better


@dataclass(frozen=True)
class Fit:
    """R(d), fitted by least squares; `explained` is the share of the variance (R²), below 0 for a bad fit.

    `reach` is the largest distance that was fitted, `peak` the one at which the curve is highest, both in
    sqrt(nats); None where it rises for ever.
    """

    form: Form
    alpha: float
    beta: float
    explained: float
    reach: float
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

    Once a score is below its start for good, it runs into its floor, which the forms do not know: what comes
    after is left out, unless hardly anything would be left.

    Args:
        distances: sqrt(KL) from the initial policy, in sqrt(nats). (N,)
        gains: what was scored there, less what was scored at the start. (N,)
    """
    d, y = np.asarray(distances, dtype=np.float64), np.asarray(gains, dtype=np.float64)
    kept = np.isfinite(y)
    order = np.argsort(d[kept], kind="stable")
    d, y = d[kept][order], y[kept][order]
    last = _last_above_start(y)
    d, y = (d[:last], y[:last]) if last >= ENOUGH else (d, y)
    d, y = d[d > 0], y[d > 0]
    if len(d) < ENOUGH or np.ptp(d) <= 0 or np.ptp(y) <= 0:
        return None
    paper, other = _fit("log", d, y), _fit("linear", d, y)
    return other if other.explained > paper.explained + TIE else paper


def _last_above_start(gains: NDArray[np.float64]) -> int:
    """How many gains there are until the mean of WINDOW of them is below 0 and stays there."""
    if len(gains) < WINDOW:
        return len(gains)
    means = np.convolve(gains, np.ones(WINDOW) / WINDOW, mode="valid")
    above = np.flatnonzero(means >= 0)
    return int(above[-1]) + WINDOW if len(above) else 0


def _basis(form: Form, d: NDArray[np.float64]) -> NDArray[np.float64]:
    """The columns that alpha and -beta multiply. (N, 2)"""
    return np.column_stack([d, d * np.log(d) if form == "log" else d * d])


def _fit(form: Form, d: NDArray[np.float64], y: NDArray[np.float64]) -> Fit:
    design = _basis(form, d)
    (alpha, bent), *_ = np.linalg.lstsq(design, y, rcond=None)
    beta = -float(bent)
    residual = float(np.sum((y - design @ np.array([alpha, bent])) ** 2))
    explained = 1 - residual / float(np.sum((y - y.mean()) ** 2))
    return Fit(form, float(alpha), beta, explained, float(d[-1]), _peak(form, float(alpha), beta))


def _peak(form: Form, alpha: float, beta: float) -> float | None:
    """Where the derivative is 0 and the curve bends down: exp(alpha / beta - 1), or alpha / (2 beta)."""
    if beta <= 0:
        return None
    peak = float(np.exp(min(alpha / beta - 1, 700))) if form == "log" else alpha / (2 * beta)
    return peak if peak > 0 else None
