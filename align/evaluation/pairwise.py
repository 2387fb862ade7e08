"""Pairwise: verdicts on two checkpoints -> how often one wins, how surely, and whether that is a win.

Source  Holm 1979 (several pairs at once)
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

from align.evaluation.equal_length import rate_at_equal_length
from align.evaluation.judged import Judged, Table
from align.evaluation.statistics import Floats, Interval, mean_intervals, of_share

FEWEST_PROMPTS = 30  # below it nothing is decided
LEVEL = 0.05


@dataclass(frozen=True)
class Pairwise:
    """One pair. `sign_p` is of the exact sign test over prompts; `holm_p` allows for the other pairs.

    `wins`, `losses` and `ties` count prompts. `standard_error` is of the win rate over prompts.
    """

    checkpoint: str
    baseline: str
    win_rate: Interval
    standard_error: float | None
    wins: int
    losses: int
    ties: int
    sign_p: float
    holm_p: float
    equal_length: Interval | None
    longer: float

    @property
    def winner(self) -> str | None:
        """Who wins: nobody below 30 prompts, nor where the interval or the test leaves room for the other."""
        low, high = self.win_rate.low, self.win_rate.high
        if self.win_rate.n < FEWEST_PROMPTS or low is None or high is None or self.holm_p > LEVEL:
            return None
        return self.checkpoint if low > 0.5 else self.baseline if high < 0.5 else None

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "winner": self.winner, "is_too_few": self.win_rate.n < FEWEST_PROMPTS}


def pairwise(matches: Sequence[Judged], table: Table, *, resamples: int, seed: int) -> list[Pairwise]:
    """One entry per pair that has a verdict, in the order given."""
    columns = [index for index in range(len(matches)) if not np.isnan(table.values[:, index]).all()]
    tests = [_sign_p(table.values[:, index]) for index in columns]
    return [
        _pairwise(matches[index], table, index, (p, holm), resamples=resamples, seed=seed)
        for index, p, holm in zip(columns, tests, holm_adjusted(tests), strict=True)
    ]


def holm_adjusted(tests: Sequence[float]) -> list[float]:
    """p-values that stay honest when the smallest of several is looked at first."""
    order = sorted(range(len(tests)), key=lambda index: tests[index])
    adjusted, largest = [0.0] * len(tests), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(tests) - place) * tests[index]))
        adjusted[index] = largest
    return adjusted


def _pairwise(
    match: Judged, table: Table, index: int, tests: tuple[float, float], *, resamples: int, seed: int
) -> Pairwise:
    known = ~np.isnan(table.values[:, index])
    values, longer = table.values[known, index], table.longer[known, index]
    return Pairwise(
        checkpoint=match.checkpoint,
        baseline=match.baseline,
        win_rate=of_share(mean_intervals(values[:, None], resamples=resamples, seed=seed)[0]),
        standard_error=float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None,
        wins=int((values > 0.5).sum()),
        losses=int((values < 0.5).sum()),
        ties=int((values == 0.5).sum()),
        sign_p=tests[0],
        holm_p=tests[1],
        equal_length=rate_at_equal_length(values, longer),
        longer=float(longer.mean()),
    )


def _sign_p(values: Floats) -> float:
    wins, losses = int((values > 0.5).sum()), int((values < 0.5).sum())
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
