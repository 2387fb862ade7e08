"""Lanes: pieces of work that do not depend on each other, side by side on the cores of a CPU."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch

LANES = 2  # two cores on one small matrix are 1.3 times as fast as one; on a matrix each, twice


def side_by_side(device: torch.device, *work: Callable[[], Any]) -> list[Any]:
    """What every piece of work returns, in order.

    On a CPU they run at the same time, and share the threads that torch would give to one. No piece may
    write what another reads, and contexts such as `no_grad` must be entered inside.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads < LANES or len(work) < 2:
        return [piece() for piece in work]
    pool = _pool(threads // LANES)
    return [future.result() for future in [pool.submit(piece) for piece in work]]


@cache  # threads that stay keep the memory that they once asked for
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(LANES, initializer=torch.set_num_threads, initargs=(threads,))
