"""Batches: row lengths -> an order of rows, random from batch to batch and by length inside each.

The order is a function of lengths, global batch size and seed, never of how many processes or micro-batches
share a global batch.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch


def batch_order(lengths: Sequence[int] | np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """The rows of one epoch in training order: full batches, every row at least once. (batches * batch_size,)

    Consecutive runs of `batch_size` rows are the global batches, drawn at random: batches of rows of similar
    length pad less, but learn worse. Inside a batch rows are sorted by length, longest first, so that its
    micro-batches hold rows of similar length. The last batch is filled up with rows that come a second time:
    a smaller one could not be spread over any number of devices alike.
    """
    sizes = np.asarray(lengths)
    shuffled = np.random.default_rng((seed, epoch)).permutation(len(sizes))
    batches = np.resize(shuffled, (math.ceil(len(sizes) / batch_size), batch_size))
    within = np.argsort(-sizes[batches], axis=1, kind="stable")
    return np.take_along_axis(batches, within, axis=1).reshape(-1)


class PlannedSampler(torch.utils.data.Sampler[int]):
    """Yields the rows of the current epoch in `batch_order`; `epoch` is set by the trainer."""

    def __init__(self, lengths: Sequence[int] | np.ndarray, batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size) * self.batch_size

    def __iter__(self) -> Iterator[int]:
        return map(int, batch_order(self.lengths, self.batch_size, self.seed, self.epoch))


class SortedSampler(torch.utils.data.Sampler[int]):
    """Yields every row once, longest first: the cheapest order where order does not matter."""

    def __init__(self, lengths: Sequence[int] | np.ndarray) -> None:
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        return map(int, np.argsort(-np.asarray(self.lengths), kind="stable"))
