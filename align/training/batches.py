"""Batches: row lengths -> an order of rows whose batches hold rows of similar length.

The order is a function of lengths, global batch size and seed, never of how many processes or micro-batches
share a global batch. Source: bucketing by length as in Khomenko et al. 2016, arXiv:1708.05604.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

# Rows are sorted inside pools of this many batches: enough for little padding, few enough that batches differ
# between epochs.
POOL_BATCHES = 50


def batch_order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """The rows of one epoch in training order, each exactly once. (rows,)

    Consecutive runs of `batch_size` rows are the global batches. Inside a batch rows are sorted by length,
    longest first, so that its micro-batches hold rows of similar length too; batches come in random order,
    except that an incomplete one is last.
    """
    generator = np.random.default_rng((seed, epoch))
    sizes = np.asarray(lengths)
    shuffled = generator.permutation(len(sizes))
    pool = POOL_BATCHES * batch_size
    pools = [shuffled[start : start + pool] for start in range(0, len(shuffled), pool)]
    ordered = np.concatenate([part[np.argsort(-sizes[part], kind="stable")] for part in pools] or [shuffled])
    full = len(ordered) // batch_size * batch_size
    batches = generator.permutation(ordered[:full].reshape(-1, batch_size))
    return np.concatenate([batches.reshape(-1), ordered[full:]])


class PlannedSampler(torch.utils.data.Sampler[int]):
    """Yields the rows of the current epoch in `batch_order`; `epoch` is set by the trainer."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

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
