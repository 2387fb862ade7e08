"""Cache: keys and values with room for all that follows, so that a token is written in place.

transformers' `DynamicLayer` copies everything it holds at every token.
"""

from typing import Any

from torch import Tensor
from transformers import DynamicCache, DynamicLayer, PreTrainedConfig


class RoomyLayer(DynamicLayer):
    """A layer for at most `capacity` tokens; `keys` and `values` (B, H, T, C) show what is filled."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self._capacity = capacity
        self._rooms: list[Tensor] = []

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add tokens' keys and values; what all tokens have is returned."""
        filled = self.get_seq_length()
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._rooms = [
                states.new_empty((*states.shape[:2], self._capacity, states.shape[3]))
                for states in (key_states, value_states)
            ]
        for room, states in zip(self._rooms, (key_states, value_states), strict=True):
            room[:, :, filled : filled + states.shape[2]] = states
        return self._show(filled + key_states.shape[2])

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some of the rows."""
        self._rooms = [room[indices] for room in self._rooms]
        self._show(self.get_seq_length())

    def _show(self, filled: int) -> tuple[Tensor, Tensor]:
        self.keys, self.values = (room[:, :, :filled] for room in self._rooms)
        return self.keys, self.values


def roomy_cache(config: PreTrainedConfig, capacity: int) -> DynamicCache:
    """An empty cache for a model; layers that are more than keys and values stay as they are."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer(capacity) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
