"""Splits: disjoint, complete, stable, and never through the middle of an opening."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.errors import DataError
from align.data.records import Conversation, Message, PreferencePair, Prompt, Row, Text
from align.data.split import held_out_bound, opening, rank

OPENINGS = st.lists(st.text(max_size=3), min_size=2, max_size=40).filter(lambda texts: len(set(texts)) > 1)
SHARES = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 5)


def is_held_out(rows: list[Row], held_out: float | int, seed: int) -> list[bool]:
    ranks = [rank(row, seed) for row in rows]
    bound = held_out_bound(ranks, held_out)
    return [place < bound for place in ranks]


def texts(contents: list[str]) -> list[Row]:
    return [Text(content) for content in contents]


@given(OPENINGS, SHARES, SEEDS)
def test_equal_openings_fall_on_one_side_and_neither_side_is_empty(
    contents: list[str], share: float, seed: int
) -> None:
    sides = is_held_out(texts(contents), share, seed)
    assert len(sides) == len(contents)
    held_out = {content for content, aside in zip(contents, sides, strict=True) if aside}
    learnt = {content for content, aside in zip(contents, sides, strict=True) if not aside}
    assert held_out and learnt and not held_out & learnt


@given(st.integers(0, 200), SHARES, SEEDS)
def test_a_row_stays_on_its_side_when_others_come(extra: int, share: float, seed: int) -> None:
    few = [f"row {number}" for number in range(200)]
    more = [*few, *(f"new {number}" for number in range(extra))]
    before, after = is_held_out(texts(few), share, seed), is_held_out(texts(more), share, seed)
    # At 200 openings the rule "at least one on each side" can only bite for the extreme ranks.
    ranks = [rank(row, seed) for row in texts(few)]
    ordinary = [place for place, value in enumerate(ranks) if value not in (min(ranks), max(ranks))]
    assert [before[place] for place in ordinary] == [after[place] for place in ordinary]


@given(OPENINGS, SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(contents: list[str], seed: int, source: Random) -> None:
    order = source.sample(range(len(contents)), len(contents))
    sides = is_held_out(texts(contents), 0.3, seed)
    shuffled = is_held_out(texts([contents[place] for place in order]), 0.3, seed)
    assert shuffled == [sides[place] for place in order]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_the_share_is_met_over_many_rows(share: float) -> None:
    held_out = sum(is_held_out(texts([str(number) for number in range(20_000)]), share, 0))
    # A binomial count: five standard deviations.
    assert abs(held_out - 20_000 * share) < 5 * (20_000 * share * (1 - share)) ** 0.5


@pytest.mark.parametrize("number", [1, 7, 99])
def test_a_number_is_met_exactly_where_openings_differ(number: int) -> None:
    assert sum(is_held_out(texts([str(place) for place in range(100)]), number, 0)) == number


def test_a_number_takes_whole_openings() -> None:
    assert sum(is_held_out(texts(["a"] * 4 + ["b"] * 4 + ["c"] * 4), 5, 0)) == 8


def test_another_seed_is_another_split() -> None:
    rows = texts([str(number) for number in range(100)])
    assert is_held_out(rows, 0.5, 0) != is_held_out(rows, 0.5, 1)


def test_nothing_held_out() -> None:
    assert is_held_out(texts(["a", "b"]), 0.0, 0) == [False, False]
    assert is_held_out([], 0.5, 0) == []


@pytest.mark.parametrize(
    "contents, held_out, message",
    [
        (["a", "a"], 0.5, "held_out 0.5 of 2 rows that all open alike leaves nothing"),
        (["a", "b"], 2, "held_out 2 of 2 rows leaves nothing to train on"),
        (["a", "b"], 9, "held_out 9 of 2 rows leaves nothing to train on"),
    ],
)
def test_splits_that_leave_nothing(contents: list[str], held_out: float | int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        is_held_out(texts(contents), held_out, 0)


def test_every_shape_opens_with_its_first_user_turn() -> None:
    asked = (Message("system", "Be kind."), Message("user", "Q"))
    answer = (Message("assistant", "A"),)
    rows: list[Row] = [
        Conversation(asked + answer),
        Prompt(asked),
        PreferencePair(asked, answer, answer),
        Text("Q"),
    ]
    assert {opening(row) for row in rows} == {"Q"}
    assert len({rank(row, 3) for row in rows}) == 1
