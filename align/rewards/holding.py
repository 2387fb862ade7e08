"""Holding: where the weights of a model that scores are while it does not. Torch-free at import."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from align.rewards.composed import leaves

Holding = Callable[[Any], AbstractContextManager[Any]]  # a model -> where all its weights are there


def always_whole(model: Any) -> AbstractContextManager[None]:
    """The weights are there at any time."""
    return nullcontext()


class ModelReward:
    """A source with a model of its own, which is whole unless `hold` says otherwise."""

    holding: Holding = staticmethod(always_whole)


def hold(source: object, holding: Holding) -> None:
    """Have every model that a source asks held elsewhere between two scores."""
    for leaf in leaves(source):
        if isinstance(leaf, ModelReward):
            leaf.holding = holding
