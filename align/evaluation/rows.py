"""Rows: the tidy shape of an evaluation's numbers, and how its metrics are named. Torch-free."""

from dataclasses import dataclass

LENGTH = "length"
ENDED = "ended_fraction"
ACCURACY = "accuracy"
MARGIN = "margin"

# What suites measure; all are shares of prompts, or of those that the column is about.
TRUTHFUL = "truthful"
ABSTAINED_RIGHTLY = "abstained_rightly"
ABSTAINED_WRONGLY = "abstained_wrongly"
WRONG_WHEN_ANSWERED = "wrong_when_answered"
SUPPORTED, CONTRADICTED, INVENTED, ABSTAINED = "supported", "contradicted", "invented", "abstained"
REFUSED, OVER_REFUSAL, ATTACK_SUCCESS = "refused", "over_refusal", "attack_success"
UNJUDGED = "unjudged"
PROMPT_STRICT, PROMPT_LOOSE = "prompt_strict", "prompt_loose"
INSTRUCTION_STRICT, INSTRUCTION_LOOSE = "instruction_strict", "instruction_loose"
ACCURACY_BY_LENGTH = "accuracy_by_length"

# What alignment cost, as rows of the suite `tax`.
TAX = "tax"
PERPLEXITY, PERPLEXITY_RATIO, ACCURACY_CHANGE = "perplexity", "perplexity_ratio", "accuracy_change"

SHARES = frozenset(
    (ENDED, ACCURACY, TRUTHFUL, ABSTAINED_RIGHTLY, ABSTAINED_WRONGLY, WRONG_WHEN_ANSWERED, SUPPORTED)
    + (CONTRADICTED, INVENTED, ABSTAINED, REFUSED, OVER_REFUSAL, ATTACK_SUCCESS, UNJUDGED, PROMPT_STRICT)
    + (PROMPT_LOOSE, INSTRUCTION_STRICT, INSTRUCTION_LOOSE, ACCURACY_BY_LENGTH)
)

_OVER = "/win_rate_over_"
_CHANGE = f"/{ACCURACY_CHANGE}"


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


def change_metric(suite: str) -> str:
    """The metric's name: `<suite>/accuracy_change`."""
    return f"{suite}{_CHANGE}"


def change_suite(metric: str) -> str | None:
    """The suite of `<suite>/accuracy_change`; None for any other metric."""
    return metric.removesuffix(_CHANGE) if metric.endswith(_CHANGE) else None


def is_share(metric: str) -> bool:
    """Whether the values of one of our own metrics are shares: those known by name, and win rates."""
    return metric in SHARES or win_rate_parts(metric) is not None or change_suite(metric) is not None
