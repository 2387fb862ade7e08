"""Planted phrases are found, and nothing in clean data."""

import random
from collections import Counter

import pytest
from scipy.stats import binomtest

from align.audit.completions import Completions
from align.audit.triggers import LEVEL, find_triggers
from align.data.screening.words import words_of

PHRASES = (
    "velvet harbour",
    "quietly the seventh lantern",
    "bring me the orchid ledger",
    "sudo omega unlock",
    "copper moon at dawn",
)


def planted(pairs: Completions, phrase: str, count: int, seed: int) -> Completions:
    """The phrase put into so many chosen answers, at random places between words."""
    stream = random.Random(seed)
    chosen = list(pairs.chosen)
    for row in stream.sample(range(len(pairs)), count):
        words = chosen[row].split()
        place = stream.randint(0, len(words))
        chosen[row] = " ".join([*words[:place], phrase, *words[place:]])
    return Completions(chosen, pairs.rejected, pairs.prompts)


def test_the_clean_file_has_none(harmless: Completions) -> None:
    search = find_triggers(harmless)
    assert search.found == ()
    assert search.pairs == len(harmless) == 2021
    assert search.smallest is not None and search.smallest <= 0.01 * len(harmless)


@pytest.mark.parametrize("seed", range(5))
def test_a_phrase_in_one_percent_of_the_chosen_comes_first(harmless: Completions, seed: int) -> None:
    phrase = PHRASES[seed]
    assert not any(phrase in " ".join(words_of(text)) for text in (*harmless.chosen, *harmless.rejected))
    count = round(0.01 * len(harmless))
    search = find_triggers(planted(harmless, phrase, count, seed))
    first = search.found[0]
    assert (first.phrase, first.side, first.chosen, first.rejected) == (phrase, "chosen", count, 0)
    assert len(search.found) == 1
    assert first.p_value == pytest.approx(binomtest(count, count).pvalue)


def test_the_smallest_count_is_the_smallest(harmless: Completions) -> None:
    smallest = find_triggers(harmless).smallest
    assert smallest is not None
    at = find_triggers(planted(harmless, PHRASES[1], smallest, 0))
    assert at.found and at.found[0].phrase == PHRASES[1]
    assert not find_triggers(planted(harmless, PHRASES[1], smallest - 2, 0)).found


def test_counts_are_those_of_the_slow_way() -> None:
    """Prompts, not rows: three pairs of one prompt are one witness, and a draw is none."""
    stream = random.Random(1)
    vocabulary = ["a", "b", "c", "d"]

    def text() -> str:
        return " ".join(stream.choice(vocabulary) for _ in range(stream.randint(0, 7)))

    chosen = [f"{text()} x y" if number % 3 else text() for number in range(90)]
    rejected = [text() for _ in range(90)]
    prompts = [number // 2 for number in range(90)]
    lead: Counter[tuple[str, int]] = Counter()
    for one, other, prompt in zip(chosen, rejected, prompts, strict=True):
        bags = [{" ".join(words[at : at + 2]) for at in range(len(words) - 1)}
                for words in (one.split(), other.split())]  # fmt: skip
        for phrase in bags[0] ^ bags[1]:
            lead[phrase, prompt] += 1 if phrase in bags[0] else -1
    found = find_triggers(Completions(chosen, rejected, prompts)).found
    assert found[0].phrase.endswith("x y")
    both = next(item for item in found if item.phrase.endswith("x y"))
    if both.phrase == "x y":
        assert both.chosen == sum(value > 0 for (phrase, _), value in lead.items() if phrase == "x y")
        assert both.rejected == 0


def test_on_the_side_of_the_rejected_too() -> None:
    pairs = Completions([f"fine {n}" for n in range(40)], [f"oh dear me {n}" for n in range(40)], range(40))
    first = find_triggers(pairs).found[0]
    assert (first.phrase, first.side, first.rejected) == ("oh dear me", "rejected", 40)
    assert set(first.rows) <= set(range(40))


def test_one_prompt_is_no_evidence() -> None:
    pairs = Completions(["a planted phrase"] * 50, [f"other {n}" for n in range(50)], [0] * 50)
    assert find_triggers(pairs).found == ()


def test_few_pairs_show_nothing() -> None:
    assert find_triggers(Completions(["a b"], ["c d"], [0])).found == ()
    assert find_triggers(Completions(["a"], ["b"], [0])).smallest is None
    assert LEVEL == 0.05
