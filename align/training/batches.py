"""Batches: row lengths -> an order of rows whose batches hold rows of similar length.

The order is a function of lengths, global batch size and seed, never of how many processes or micro-batches
share a global batch. Source: bucketing by length as in Khomenko et al. 2016, arXiv:1708.05604.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

# Rows are sorted inside pools of this many batches: enough for little padding, few enough that batches differ
# between epochs.
POOL_BATCHES = 50


def batch_order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """The rows of one epoch in training order: full batches, every row at least once. (batches * batch_size,)

    Consecutive runs of `batch_size` rows are the global batches, in random order. Inside a batch rows are
    sorted by length, longest first, so that its micro-batches hold rows of similar length too. The last batch
    is filled up with rows of about its length, which come a second time: a smaller one could not be spread
    over any number of devices alike.
    """
    generator = np.random.default_rng((seed, epoch))
    sizes = np.asarray(lengths)
    shuffled = generator.permutation(len(sizes))
    pool = POOL_BATCHES * batch_size
    pools = [shuffled[start : start + pool] for start in range(0, len(shuffled), pool)]
    order = np.concatenate([part[np.argsort(-sizes[part], kind="stable")] for part in pools])
    if rest := len(order) % batch_size:
        complete, short = order[:-rest], order[-rest:]
        again = np.resize(complete[::-1] if len(complete) else short, batch_size - rest)
        last = np.concatenate([short, again])
        order = np.concatenate([complete, last[np.argsort(-sizes[last], kind="stable")]])
    return generator.permutation(order.reshape(-1, batch_size)).reshape(-1)


class PlannedSampler(torch.utils.data.Sampler[int]):
    """Yields the rows of the current epoch in `batch_order`; `epoch` is set by the trainer."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size) * self.batch_size

    def __iter__(self) -> Iterator[int]:
        return iter(batch_order(self.lengths, self.batch_size, self.seed, self.epoch).tolist())


class SortedSampler(torch.utils.data.Sampler[int]):
    """Yields every row once, longest first: the cheapest order where order does not matter."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(np.argsort(-np.asarray(self.lengths), kind="stable").tolist())
