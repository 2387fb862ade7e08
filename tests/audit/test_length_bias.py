"""Length bias has a size, an interval, and no more witnesses than prompts."""

import random

import pytest

from align.audit.completions import Completions
from align.audit.length_bias import length_bias
from align.data.records import Message, PreferencePair


def test_sizes_by_hand() -> None:
    bias = length_bias(Completions(["aaaa", "bb", "cc"], ["a", "bb", "ccccc"], [0, 1, 2]))
    assert bias.characters.value == pytest.approx(0)
    assert bias.longer.value == pytest.approx(0.5)
    assert (bias.mean_chosen, bias.mean_rejected) == (pytest.approx(8 / 3), pytest.approx(8 / 3))
    assert not bias.is_biased


def test_a_bias_is_seen_and_its_interval_holds_it() -> None:
    stream = random.Random(0)
    chosen = ["x" * stream.randint(40, 90) for _ in range(400)]
    rejected = ["x" * stream.randint(30, 80) for _ in range(400)]
    bias = length_bias(Completions(chosen, rejected, range(400)))
    assert bias.is_biased and bias.effect > 0.3
    low, high = bias.characters.low, bias.characters.high
    assert low is not None and high is not None and low < 10 < high


def test_pairs_of_one_prompt_are_one_witness() -> None:
    bias = length_bias(Completions(["xx"] * 50, ["x"] * 50, [0] * 50))
    assert bias.longer.n == 1 and bias.longer.low is None
    assert not bias.is_biased


def test_completions_know_their_prompts() -> None:
    def pair(prompt: str, chosen: str) -> PreferencePair:
        return PreferencePair(
            (Message("user", prompt),), (Message("assistant", chosen),), (Message("assistant", "no"),)
        )

    pairs = Completions.of([pair("p", "a"), pair("q", "b"), pair("p", "c")])
    assert (pairs.chosen, pairs.rejected, pairs.prompts) == (["a", "b", "c"], ["no"] * 3, [0, 1, 0])
