"""Lanes: pieces of work that do not depend on each other, side by side on the cores of a CPU."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import torch

T = TypeVar("T")
LANES = 2  # two cores on one small matrix are 1.3 times as fast as one; on a matrix each, twice


def lanes(device: torch.device) -> int:
    """How many pieces of work are worth doing at a time."""
    return min(LANES, torch.get_num_threads()) if device.type == "cpu" else 1


def side_by_side(device: torch.device, *work: Callable[[], Any]) -> list[Any]:
    """What every piece of work returns, in order.

    On a CPU they run at the same time, and share the threads that torch would give to one. No piece may
    write what another reads, and contexts such as `no_grad` must be entered inside.
    """
    count = lanes(device)
    if count == 1 or len(work) < 2:
        return [piece() for piece in work]
    pool = _pool(count, torch.get_num_threads() // count)
    return [future.result() for future in [pool.submit(piece) for piece in work]]


@cache  # threads that stay keep the memory that they once asked for
def _pool(count: int, threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(threads,))
