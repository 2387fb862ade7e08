"""The batch plan: complete, blind to the machine, short of padding, and random."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.training.batches import PlannedSampler, SortedSampler, batch_order

LENGTHS = st.lists(st.integers(1, 500), max_size=200)


def padding(lengths: Sequence[int], order: Sequence[int], batch_size: int) -> float:
    """Padded tokens over real ones."""
    batches = [
        [lengths[row] for row in order[at : at + batch_size]] for at in range(0, len(order), batch_size)
    ]
    return sum(len(batch) * max(batch) for batch in batches) / sum(lengths)


@given(LENGTHS, st.integers(1, 32), st.integers(0, 5), st.integers(0, 3))
def test_every_row_comes_once(lengths: list[int], batch_size: int, seed: int, epoch: int) -> None:
    assert sorted(batch_order(lengths, batch_size, seed, epoch).tolist()) == list(range(len(lengths)))


@pytest.mark.parametrize("devices, micro", [(1, 16), (1, 4), (2, 8), (4, 2)])
def test_steps_hold_the_same_rows_on_any_machine(devices: int, micro: int) -> None:
    """Micro-batches go to devices in turn, as accelerate hands them out."""
    lengths = np.random.default_rng(0).integers(10, 300, 160).tolist()
    order = batch_order(lengths, 16, seed=3, epoch=1).tolist()

    micro_batches = [order[at : at + micro] for at in range(0, len(order), micro)]
    by_device = [micro_batches[device::devices] for device in range(devices)]
    accumulation = 16 // (devices * micro)
    steps = [
        {row for rows in by_device for part in rows[at : at + accumulation] for row in part}
        for at in range(0, len(by_device[0]), accumulation)
    ]

    assert steps == [set(order[at : at + 16]) for at in range(0, len(order), 16)]


def test_little_is_padded_and_micro_batches_pad_less() -> None:
    lengths = np.random.default_rng(0).lognormal(4.4, 0.8, 5000).astype(int).clip(5, 512).tolist()
    shuffled = np.random.default_rng(1).permutation(len(lengths)).tolist()
    order = batch_order(lengths, 16, seed=0, epoch=0).tolist()

    assert padding(lengths, shuffled, 16) > 2
    assert padding(lengths, order, 16) < 1.1
    assert padding(lengths, order, 4) < padding(lengths, order, 16)


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
    assert len(sampler) == 100


def test_evaluation_goes_from_long_to_short() -> None:
    assert list(SortedSampler([3, 9, 1, 9])) == [1, 3, 0, 2]
