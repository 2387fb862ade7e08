"""Rows: the tidy shape of an evaluation's numbers, and how its metrics are named. Torch-free."""

from dataclasses import dataclass

LENGTH = "length"
ENDED = "ended_fraction"
ACCURACY = "accuracy"
MARGIN = "margin"
_OVER = "/win_rate_over_"


@dataclass(frozen=True, slots=True)
class Row:
    """One number of an evaluation: a mean over `n` prompts with its 95 % interval.

    A single prompt has no interval. `length` is in tokens, the stop token included.
    """

    checkpoint: str
    suite: str
    metric: str
    value: float
    low: float | None
    high: float | None
    n: int


def win_rate_metric(reward: str, baseline: str) -> str:
    """The metric's name: `<reward>/win_rate_over_<baseline>`."""
    return f"{reward}{_OVER}{baseline}"


def win_rate_parts(metric: str) -> tuple[str, str] | None:
    """(reward, baseline) of a win rate; None for any other metric."""
    reward, found, baseline = metric.partition(_OVER)
    return (reward, baseline) if found else None
