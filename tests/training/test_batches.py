"""The batch plan: complete, blind to the machine, short of padding, and random."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.training.batches import PlannedSampler, SortedSampler, batch_order

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=200)


def padding(lengths: Sequence[int], order: Sequence[int], batch_size: int) -> float:
    """Padded tokens over real ones."""
    batches = [
        [lengths[row] for row in order[at : at + batch_size]] for at in range(0, len(order), batch_size)
    ]
    return sum(len(batch) * max(batch) for batch in batches) / sum(lengths)


@given(LENGTHS, st.integers(1, 32), st.integers(0, 5), st.integers(0, 3))
def test_every_row_comes_once_and_again_only_to_fill_one_batch(
    lengths: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    order = batch_order(lengths, batch_size, seed, epoch).tolist()
    times = Counter(order)
    repeated = sorted(row for row in order if times[row] > 1)

    assert set(order) == set(range(len(lengths)))
    assert len(order) == -(-len(lengths) // batch_size) * batch_size
    assert len(order) - len(lengths) < batch_size
    assert len(order) == len(PlannedSampler(lengths, batch_size, seed))
    if len(lengths) >= batch_size:
        assert all(times[row] == 2 for row in repeated)
    for at in range(0, len(order), batch_size):
        batch = [lengths[row] for row in order[at : at + batch_size]]
        assert batch == sorted(batch, reverse=True)


@pytest.mark.parametrize("devices, micro", [(1, 16), (1, 4), (2, 8), (4, 2)])
def test_steps_hold_the_same_rows_on_any_machine(devices: int, micro: int) -> None:
    """Micro-batches go to devices in turn, as accelerate hands them out."""
    lengths = np.random.default_rng(0).integers(10, 300, 150).tolist()
    order = batch_order(lengths, 16, seed=3, epoch=1).tolist()

    micro_batches = [order[at : at + micro] for at in range(0, len(order), micro)]
    by_device = [micro_batches[device::devices] for device in range(devices)]
    accumulation = 16 // (devices * micro)
    steps = [
        {row for rows in by_device for part in rows[at : at + accumulation] for row in part}
        for at in range(0, len(by_device[0]), accumulation)
    ]

    assert steps == [set(order[at : at + 16]) for at in range(0, len(order), 16)]


def test_batches_are_random_and_micro_batches_pad_little() -> None:
    lengths = np.random.default_rng(0).lognormal(4.4, 0.8, 5000).astype(int).clip(5, 512).tolist()
    shuffled = np.random.default_rng(1).permutation(len(lengths)).tolist()
    order = batch_order(lengths, 16, seed=0, epoch=0).tolist()

    assert padding(lengths, shuffled, 16) > 2
    assert padding(lengths, order, 16) == pytest.approx(padding(lengths, shuffled, 16), rel=0.05)
    assert padding(lengths, order, 4) - 1 < 0.5 * (padding(lengths, shuffled, 4) - 1)


def test_batches_come_in_random_order_that_changes_with_seed_and_epoch() -> None:
    lengths = np.random.default_rng(0).integers(10, 300, 1600).tolist()
    orders = [
        batch_order(lengths, 16, seed, epoch).tolist() for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))
    ]
    longest = [max(lengths[row] for row in orders[0][at : at + 16]) for at in range(0, 1600, 16)]

    assert orders[0] == orders[3]
    assert orders[0] != orders[1] != orders[2]
    assert abs(np.corrcoef(longest, range(100))[0, 1]) < 0.3


def test_the_sampler_follows_the_epoch_it_is_told() -> None:
    lengths = list(range(1, 101))
    sampler = PlannedSampler(lengths, 8, seed=0)
    first = list(sampler)
    sampler.epoch = 1

    assert first == batch_order(lengths, 8, 0, 0).tolist()
    assert list(sampler) == batch_order(lengths, 8, 0, 1).tolist()
    assert len(sampler) == len(first) == 104


def test_evaluation_goes_from_long_to_short() -> None:
    assert list(SortedSampler([3, 9, 1, 9])) == [1, 3, 0, 2]
