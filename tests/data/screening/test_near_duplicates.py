"""Near duplicates are found, and nothing that is not one."""

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.languages import is_korean
from align.data.screening.near_duplicates import THRESHOLD, Match, NearDuplicates, jaccard, shingle_sets
from align.data.screening.words import words_of


def sets_of(text: str) -> set[tuple[str, ...]]:
    """The shingles, the slow way."""
    words = words_of(text)
    if is_korean(text):
        plain = " ".join(words)
        return {tuple(plain[start : start + 5]) for start in range(max(1, len(plain) - 4))}
    return {tuple(words[start : start + 2]) for start in range(max(1, len(words) - 1))} if words else set()


def similarity(one: str, other: str) -> float:
    first, second = sets_of(one), sets_of(other)
    return len(first & second) / len(first | second)


def changed(text: str, share: float, stream: random.Random) -> str:
    """A copy with a share of the words replaced."""
    words = text.split()
    for place in stream.sample(range(len(words)), max(1, round(share * len(words)))):
        words[place] = f"w{stream.randrange(10**6)}"
    return " ".join(words)


def test_a_copy_matches_the_earliest_and_is_not_kept() -> None:
    text = "the quick brown fox jumps over the lazy dog and runs home"
    near = NearDuplicates()
    assert near.matches([text, "something else entirely", text.upper()]) == [None, None, Match(0, 1.0)]
    assert near.matches([f"{text} again", "", ""]) == [Match(0, 11 / 12), None, None]


@given(st.lists(st.text(alphabet="ab 가나다라", max_size=30), min_size=2, max_size=2))
def test_similarity_is_that_of_the_sets(texts: list[str]) -> None:
    one, other = shingle_sets(texts)
    assert [len(one), len(other)] == [len(sets_of(text)) for text in texts]
    if len(one) and len(other) and is_korean(texts[0]) == is_korean(texts[1]):
        assert jaccard(one, other) == pytest.approx(similarity(*texts))


def texts_of(align_data: Path, name: str, count: int) -> list[str]:
    rows = json.loads(gzip.decompress((align_data / name).read_bytes()))[:count]
    return [" ".join([row["instruction"], row["input"], row["output"]]) for row in rows]


@pytest.mark.parametrize(
    "name", ["stanford_alpaca_5000/alpaca_5000.json.gz", "ko_alpaca/ko_alpaca_data.json.gz"]
)
def test_planted_copies_of_real_texts_are_found(align_data: Path, name: str) -> None:
    """At similarity 0.85 and above 95 % of them; nothing below the threshold is reported."""
    stream = random.Random(0)
    texts = texts_of(align_data, name, 700)
    copies = [
        (number, changed(texts[number], stream.choice([0.01, 0.03, 0.05]), stream)) for number in range(300)
    ]
    near = NearDuplicates()
    of_originals = near.matches(texts)
    found = near.matches([copy for _, copy in copies])
    close = [
        match is not None and match.similarity >= 0.85
        for (number, copy), match in zip(copies, found, strict=True)
        if similarity(texts[number], copy) >= 0.85
    ]
    assert len(close) > 60
    assert sum(close) >= 0.95 * len(close)
    everything = texts + [copy for _, copy in copies]
    for text, match in zip(everything, of_originals + found, strict=True):
        if match is not None:
            assert match.similarity >= THRESHOLD
            assert match.similarity == pytest.approx(similarity(everything[match.earlier], text))
