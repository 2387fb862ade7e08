"""Several sources with weights; scores that are no numbers count nowhere."""

import math

import pytest

from align.data.records import Message, Prompt
from align.ppo.score import WeightedSource, score_completions

PROMPTS = [Prompt((Message("user", "?"),))] * 4


class Said:
    def __init__(self, *scores: float | None) -> None:
        self._scores = scores

    def score(self, prompts, completions):
        return list(self._scores)


def test_the_total_is_the_weighted_sum_of_the_parts() -> None:
    sources = {"a": WeightedSource(Said(1, 2, 3, 4), 2.0), "b": WeightedSource(Said(1, 0, -1, 0.5), -1.0)}
    found = score_completions(sources, PROMPTS, [""] * 4)
    assert found.total.tolist() == [1, 4, 7, 7.5]
    assert found.parts["b"].tolist() == [1, 0, -1, 0.5]
    assert found.valid.all()


def test_what_is_no_number_is_marked_and_counts_as_nothing() -> None:
    sources = {"a": WeightedSource(Said(1, None, math.inf, math.nan))}
    found = score_completions(sources, PROMPTS, [""] * 4)
    assert found.valid.tolist() == [True, False, False, False]
    assert found.total.tolist() == [1, 0, 0, 0]


def test_a_source_that_loses_completions_is_named() -> None:
    with pytest.raises(ValueError, match=r"rewards\.short gave 2 scores for 4 completions"):
        score_completions({"short": WeightedSource(Said(1, 2))}, PROMPTS, [""] * 4)
