"""Mixtures: in proportion, nothing lost, nothing repeated beyond its weight."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.mixture import apportion, chosen, pick, rows_per_source

SIZES = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 400), min_size=1)
WEIGHTS = st.lists(st.floats(0.1, 10), min_size=6, max_size=6)


@pytest.mark.parametrize(
    "sizes, weights, max_rows, expected",
    [
        ({"a": 3, "b": 5}, {"a": None, "b": None}, None, {"a": 3, "b": 5}),
        ({"a": 3}, {"a": 7.0}, None, {"a": 3}),
        ({"a": 100, "b": 10}, {"a": 1.0, "b": 1.0}, None, {"a": 100, "b": 100}),
        ({"a": 100, "b": 10}, {"a": 9.0, "b": 1.0}, None, {"a": 100, "b": 11}),  # 100 / 9 of b, rounded
        ({"a": 10, "b": 100}, {"a": 3.0, "b": 1.0}, None, {"a": 300, "b": 100}),
        ({"a": 30, "b": 50}, {"a": None, "b": None}, 8, {"a": 3, "b": 5}),
        ({"a": 100, "b": 10}, {"a": 1.0, "b": 1.0}, 60, {"a": 30, "b": 30}),
        ({"a": 3, "b": 5}, {"a": None, "b": None}, 8, {"a": 3, "b": 5}),
    ],
)
def test_rows_per_source(
    sizes: dict[str, int], weights: dict[str, float | None], max_rows: int | None, expected: dict[str, int]
) -> None:
    assert rows_per_source(sizes, weights, max_rows) == expected


@given(SIZES, WEIGHTS)
def test_weighted_counts_are_in_proportion_and_lose_no_row(sizes: dict[str, int], drawn: list[float]) -> None:
    weights = dict(zip(sizes, drawn, strict=False))
    counts = rows_per_source(sizes, weights)
    assert all(counts[name] >= sizes[name] for name in sizes)
    assert any(counts[name] == sizes[name] for name in sizes)
    unit = max(sizes[name] / weights[name] for name in sizes)
    assert all(abs(counts[name] - unit * weights[name]) <= 0.5 + 1e-9 for name in sizes)


@given(SIZES, WEIGHTS, st.integers(1, 500))
def test_max_rows_is_an_upper_bound(sizes: dict[str, int], drawn: list[float], max_rows: int) -> None:
    for weights in (dict(zip(sizes, drawn, strict=False)), dict.fromkeys(sizes)):
        counts = rows_per_source(sizes, weights, max_rows)
        unbounded = sum(rows_per_source(sizes, weights).values())
        assert sum(counts.values()) == min(max_rows, unbounded)


@given(st.integers(1, 1000), st.dictionaries(st.text(max_size=2), st.floats(0.1, 10), min_size=1))
def test_apportioned_numbers_add_up_and_stay_within_one(total: int, proportions: dict[str, float]) -> None:
    counts = apportion(total, proportions)
    assert sum(counts.values()) == total
    scale = total / sum(proportions.values())
    assert all(abs(counts[name] - proportions[name] * scale) < 1 + 1e-9 for name in proportions)


@given(st.integers(1, 60), st.integers(0, 400), st.text(max_size=3))
def test_no_row_is_repeated_beyond_its_share(size: int, count: int, seed: str) -> None:
    indices = chosen(size, count, seed)
    times = Counter(indices)
    assert len(indices) == count
    assert set(times) <= set(range(size))
    assert all(math.floor(count / size) <= times[place] <= math.ceil(count / size) for place in range(size))
    assert indices == chosen(size, count, seed)


def test_a_sample_keeps_the_order_and_depends_on_the_seed() -> None:
    assert list(chosen(100, 10, "a")) == sorted(chosen(100, 10, "a"))
    assert chosen(100, 10, "a") != chosen(100, 10, "b")
    assert pick("abc", [0, 2, 2]) == ["a", "c", "c"]
