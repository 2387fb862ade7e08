"""Batches: rows of different lengths -> a score of each, computed with others of similar length."""

from collections.abc import Callable, Sequence


def scored_by_length(
    lengths: Sequence[int], size: int, score: Callable[[list[int]], Sequence[float]]
) -> list[float]:
    """What `score` says of every row, in the rows' order. (B,)

    Args:
        lengths: of the rows.
        size: most rows of a batch; the shortest rows come first.
        score: numbers of rows -> a score of each.
    """
    by_length = sorted(range(len(lengths)), key=lambda row: lengths[row])
    scores: dict[int, float] = {}
    for start in range(0, len(by_length), size):
        rows = by_length[start : start + size]
        scores.update(zip(rows, score(rows), strict=True))
    return [scores[row] for row in range(len(lengths))]
