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


def within_share(sizes: Mapping[str, int], share: float | None) -> dict[str, int]:
    """Rows that each source may contribute when none may exceed `share` of what all contribute together.

    The largest sources are cut to one common size, which is as large as it can be.

    Args:
        sizes: source -> its rows.
        share: at least 1 / number of sources; None sets no bound.
    """
    capped = dict(sizes)
    if share is None:
        return capped
    largest = sorted(sizes.values(), reverse=True)
    for cut in range(len(largest)):
        rest = sum(largest[cut:])
        if largest[cut] <= share * (rest + cut * largest[cut]):
            break  # with the ones before it cut to its size this one fits; the bound lies at or above it
    if not cut:
        return capped
    # `cut` sources at the bound b, where b = share * (cut * b + rest).
    bound = (
        largest[cut] if share * cut >= 1 else max(largest[cut], int(share * rest / (1 - share * cut) + 1e-9))
    )
    return {name: min(size, bound) for name, size in sizes.items()}


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
