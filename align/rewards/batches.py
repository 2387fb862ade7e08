"""Batches: rows of different lengths -> batches of similar ones."""

from collections.abc import Iterator, Sequence


def in_order_of_length(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Numbers of rows, `size` at a time, shortest first."""
    by_length = sorted(range(len(lengths)), key=lambda row: lengths[row])
    for start in range(0, len(by_length), size):
        yield by_length[start : start + size]
