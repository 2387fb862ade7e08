"""Blend: several reward sources -> their weighted sum, with every part kept for the log."""

from collections.abc import Mapping, Sequence

from align.data.records import Prompt
from align.rewards.source import RewardSource


class Blend:
    """A weighted sum of reward sources. In YAML every source is a `_target_` leaf of its own."""

    def __init__(self, sources: Mapping[str, RewardSource], weights: Mapping[str, float]) -> None:
        if not sources or set(sources) != set(weights):
            known, given = ", ".join(sources) or "none", ", ".join(weights) or "none"
            raise ValueError(
                f"every source needs a weight: sources are {known}; weights are given for {given}"
            )
        self.sources = dict(sources)
        self._weights = dict(weights)

    def parts(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> dict[str, list[float]]:
        """Each source's own scores, unweighted: source name -> (B,)."""
        return {name: source.score(prompts, completions) for name, source in self.sources.items()}

    def total(self, parts: Mapping[str, Sequence[float]]) -> list[float]:
        """The weighted sum of what `parts` returned. (B,)"""
        weights = list(self._weights.values())
        columns = zip(*(parts[name] for name in self._weights), strict=True)
        return [sum(weight * value for weight, value in zip(weights, row, strict=True)) for row in columns]

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        """The weighted sum. (B,)"""
        return self.total(self.parts(prompts, completions))
