"""Composed: several reward sources that are asked together, every part kept for the log."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from align.data.records import Prompt
from align.rewards.function import as_source
from align.rewards.source import RewardSource


class Composed(ABC):
    """A reward source made of others; what a completion's scores come to is `total`."""

    def __init__(self, sources: Mapping[str, RewardSource]) -> None:
        self.sources = {name: as_source(source) for name, source in sources.items()}

    def parts(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> dict[str, list[float]]:
        """Each source's own scores: source name -> (B,)."""
        return {name: source.score(prompts, completions) for name, source in self.sources.items()}

    @abstractmethod
    def total(self, parts: Mapping[str, Sequence[float]]) -> list[float]:
        """One score per completion from what `parts` returned. (B,)"""

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        """One score per completion. (B,)"""
        return self.total(self.parts(prompts, completions))


def leaves(source: object) -> Iterator[object]:
    """The sources that a source is composed of, or itself."""
    if isinstance(source, Composed):
        for part in source.sources.values():
            yield from leaves(part)
    else:
        yield source
