"""Logit: shares of wins -> a logistic regression whose uncertainty is that of prompts, not of rows.

Source  Liang and Zeger 1986, "Longitudinal data analysis using generalized linear models" (sandwich);
        Mancl and DeRouen 2001 and Fay and Graubard 2001 on its bias where clusters are few
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, stdtrit

from align.evaluation.statistics import Floats

_STEEPEST = 12.0  # log-odds: beyond it some outcome is certain, and no finite coefficient fits best


@dataclass(frozen=True)
class Logit:
    """Coefficients (P,), and their covariance over prompts (P, P) of which there were `clusters`."""

    coefficients: Floats
    covariance: Floats
    clusters: int

    def interval(self, contrast: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
        """(value, low, high) of a weighted sum of the coefficients, by Student's t over prompts."""
        weights = np.asarray(contrast, dtype=np.float64)
        value = float(weights @ self.coefficients)
        variance = float(weights @ self.covariance @ weights)
        error = max(variance, 0.0) ** 0.5
        reach = error * float(stdtrit(float(self.clusters - 1), (1 + level) / 2))
        return value, value - reach, value + reach


def fit_logit(design: ArrayLike, outcomes: ArrayLike, trials: ArrayLike) -> Logit | None:
    """Maximum likelihood of P(win) = logistic(design @ coefficients), without intercept.

    Args:
        design: what is the same for all prompts (M, P), or each prompt's own (C, M, P).
        outcomes: share of wins per prompt and row, from 0 to 1; anything where `trials` is 0. (C, M)
        trials: weight of each outcome, 0 where there was none. (C, M)

    Returns:
        None where no finite coefficients are the likeliest: somebody always wins.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  (a second; most who read this do not fit)

    weights = np.asarray(trials, dtype=np.float64)
    shares = np.where(weights > 0, np.asarray(outcomes, dtype=np.float64), 0.0)
    rows = np.asarray(design, dtype=np.float64)
    if rows.ndim == 2:  # the same rows for every prompt: only their sums decide
        flat, won, lost = rows, (weights * shares).sum(axis=0), (weights * (1 - shares)).sum(axis=0)
        rows = np.broadcast_to(rows, (*weights.shape, rows.shape[1]))
    else:
        flat, won, lost = (
            rows.reshape(-1, rows.shape[-1]), (weights * shares).ravel(), (weights * (1 - shares)).ravel()
        )  # fmt: skip
    fitted = LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-8, max_iter=1000).fit(
        np.concatenate([flat, flat]), np.repeat([1, 0], len(flat)), sample_weight=np.concatenate([won, lost])
    )
    coefficients: Floats = fitted.coef_[0]
    if np.abs(flat @ coefficients).max() > _STEEPEST:
        return None
    return Logit(coefficients, _sandwich(rows, shares, weights, coefficients), len(weights))


def _sandwich(rows: Floats, shares: Floats, weights: Floats, coefficients: Floats) -> Floats:
    """Covariance of the coefficients when prompts are drawn anew. (P, P)

    Each prompt's residuals are enlarged by what it pulled the fit towards itself (Fay and Graubard 2001, with
    their bound of 0.75): without it, 50 prompts cover too little.
    """
    chances = expit(rows @ coefficients)  # (C, M)
    pulls = np.einsum("cmp,cm,cmq->cpq", rows, weights * chances * (1 - chances), rows)
    bread = np.linalg.inv(pulls.sum(axis=0))
    scores = np.einsum("cmp,cm->cp", rows, weights * (shares - chances))
    leverage = np.minimum(np.einsum("cpq,qp->cp", pulls, bread), 0.75)
    corrected = scores / np.sqrt(1 - leverage)
    return bread @ (corrected.T @ corrected) @ bread
