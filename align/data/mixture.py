"""Mixture: how many rows each source contributes, and which of them are repeated."""

import math
import random
from array import array
from collections.abc import Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def rows_per_source(
    sizes: Mapping[str, int], weights: Mapping[str, float | None], max_rows: int | None = None
) -> dict[str, int]:
    """Rows that each source contributes to the mixture, before anything is held out.

    Without weights every row counts once. With weights the counts are in proportion to them, and the total is
    the smallest at which no row of any source is lost: a source whose count exceeds its size is repeated.
    `max_rows` scales all counts down to that total.

    Args:
        sizes: source -> its rows, each at least 1.
        weights: source -> its weight; all or none of them None.
        max_rows: upper bound of the total.
    """
    proportions = {name: float(weights[name] or size) for name, size in sizes.items()}
    unit = max(size / proportions[name] for name, size in sizes.items())
    counts = {name: max(sizes[name], round(unit * proportions[name])) for name in sizes}
    if max_rows is None or sum(counts.values()) <= max_rows:
        return counts
    return apportion(max_rows, proportions)


def apportion(total: int, proportions: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers in proportion that add up to `total`, by largest remainder; ties go by name."""
    scale = total / sum(proportions.values())
    exact = {name: proportion * scale for name, proportion in proportions.items()}
    counts = {name: math.floor(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def chosen(size: int, count: int, seed: str) -> "array[int]":
    """Indices that make `count` rows out of `size`: whole rounds, then a random sample without repeats.

    The counts of two indices differ by one at most.
    """
    rounds, rest = divmod(count, size)
    sample = sorted(random.Random(seed).sample(range(size), rest))
    return array("q", range(size)) * rounds + array("q", sample)


def pick(rows: Sequence[Item], indices: Sequence[int]) -> list[Item]:
    """The rows at these indices, repeats included."""
    return [rows[index] for index in indices]
