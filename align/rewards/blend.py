"""Blend: several reward sources -> their weighted sum."""

from collections.abc import Mapping, Sequence

from align.rewards.composed import Composed
from align.rewards.source import RewardSource


class Blend(Composed):
    """A weighted sum of reward sources. In YAML every source is a `_target_` leaf of its own."""

    def __init__(self, sources: Mapping[str, RewardSource], weights: Mapping[str, float]) -> None:
        if not sources or set(sources) != set(weights):
            known, given = ", ".join(sources) or "none", ", ".join(weights) or "none"
            raise ValueError(
                f"every source needs a weight: sources are {known}; weights are given for {given}"
            )
        super().__init__(sources)
        self._weights = dict(weights)

    def total(self, parts: Mapping[str, Sequence[float]]) -> list[float]:
        """The weighted sum of what `parts` returned. (B,)"""
        weights = list(self._weights.values())
        columns = zip(*(parts[name] for name in self._weights), strict=True)
        return [sum(weight * value for weight, value in zip(weights, row, strict=True)) for row in columns]
