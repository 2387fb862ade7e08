"""Group: sums and decisions over all processes of a stage; a lone process is a group of one."""

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def size() -> int:
    """Processes in the group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wait() -> None:
    """Go on when all processes have come here."""
    if dist.is_initialized():
        dist.barrier()


def total(values: Tensor) -> Tensor:
    """The sum of a tensor over all processes; the tensor given stays as it is."""
    if not dist.is_initialized():
        return values
    summed = values.clone()
    dist.all_reduce(summed)
    return summed


def everybodys(own: list[T]) -> list[T]:
    """What all processes have, one after the other."""
    if not dist.is_initialized():
        return own
    shares: list[list[T]] = [[] for _ in range(size())]
    dist.all_gather_object(shares, own)
    return [item for share in shares for item in share]


def first_says(own: T) -> T:
    """What the first process has, on all of them."""
    said = [own]
    if dist.is_initialized():
        dist.broadcast_object_list(said, src=0)
    return said[0]


def largest(value: int, device: torch.device) -> int:
    """The largest of the processes' numbers."""
    if not dist.is_initialized():
        return value
    found = torch.tensor(value, device=device)
    dist.all_reduce(found, op=dist.ReduceOp.MAX)
    return int(found)
