"""Sharding: weights that ZeRO-3 has spread over processes -> whole while somebody writes to them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled


def whole(weights: Sequence[torch.Tensor]) -> AbstractContextManager[None]:
    """Gather sharded weights, then shard what became of them on the first process; others are as they are."""
    if not is_deepspeed_zero3_enabled():
        return nullcontext()
    from deepspeed import zero  # noqa: PLC0415  (1.3 s that only ZeRO-3 needs)

    gathered: AbstractContextManager[None] = zero.GatheredParameters(list(weights), modifier_rank=0)
    return gathered
