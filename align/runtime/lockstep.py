"""Lockstep: processes that make passes of a sharded module together, as many as each of them needs.

Where ZeRO-3's hooks fetch weights layer by layer from all processes, a pass of one is a pass of all. A
process that has none of its own left makes idle ones until nobody has.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from align.runtime import group


@contextmanager
def in_lockstep(module: nn.Module, idle: Callable[[], object], device: torch.device) -> Iterator[None]:
    """Call the module inside; every process must enter.

    Args:
        module: what is called.
        idle: makes the cheapest pass of it.
        device: of the processes' messages.
    """

    def say(has_work: bool) -> int:
        """How many processes make a pass of their own now."""
        return int(group.total(torch.tensor(int(has_work), device=device)))

    def announce(*_: Any) -> None:
        if not is_idle:
            say(True)

    is_idle = False
    handle = module.register_forward_pre_hook(announce, prepend=True)  # before any weight is fetched
    try:
        yield
        is_idle = True
        with torch.no_grad():
            while say(False):
                idle()
    finally:
        handle.remove()
