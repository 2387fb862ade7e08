"""Hashed words stand for the words that a regular expression finds."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.screening.words import hashed_words, words_of

TEXTS = [
    "The cat sat on the mat; the CAT sat.",
    "",
    "  ...  ",
    "단어는 띄어쓰기로 나뉜다. Straße STRASSE",
    "one",
    "x_1 2.5 naïve é",
]


def by_words(texts: list[str], length: int) -> list[tuple[int, tuple[str, ...]]]:
    """(text, run) of every run, the slow way."""
    found = []
    for number, text in enumerate(texts):
        words = words_of(text)
        found += [(number, tuple(words[start : start + length])) for start in range(len(words) - length + 1)]
    return found


def check(texts: list[str], length: int) -> None:
    words = hashed_words(texts)
    hashes, places = words.runs(length)
    expected = by_words(texts, length)
    assert [(int(words.text[place])) for place in places] == [number for number, _ in expected]
    hash_of: dict[tuple[str, ...], int] = {}
    for (_, run), value in zip(expected, hashes.tolist(), strict=True):
        assert hash_of.setdefault(run, value) == value
    assert len(set(hash_of.values())) == len(hash_of)


@pytest.mark.parametrize("length", [1, 2, 3, 8])
def test_runs_have_one_hash_each(length: int) -> None:
    check(TEXTS, length)
    check([text for text in TEXTS if text.isascii()], length)


@given(st.lists(st.text(alphabet="aB1_ .가나é\n", max_size=12), max_size=5), st.integers(1, 3))
def test_runs_of_any_texts(texts: list[str], length: int) -> None:
    check(texts, length)


@given(st.lists(st.text(max_size=12), max_size=5))
def test_texts_are_parted(texts: list[str]) -> None:
    words = hashed_words(texts)
    assert [high - low for low, high in pairwise(words.bounds.tolist())] == [
        len(words_of(text)) for text in texts
    ]


def test_a_whole_text_is_the_run_of_all_its_words() -> None:
    wholes = hashed_words(["Hi there", "hi, THERE!", "there hi", "", "hi"]).wholes()
    assert wholes[0] == wholes[1] and wholes[3] == 0
    assert len(set(wholes.tolist())) == 4
    runs, _ = hashed_words(["well hi there you"]).runs(2)
    assert wholes[0] in runs


def test_a_hash_depends_neither_on_place_nor_on_batch() -> None:
    alone = hashed_words(["the same words"]).runs(3)[0]
    among = hashed_words(["x" * 5000, "가 나 다", "the same words"]).runs(3)[0]
    assert alone[0] == among[-1]
