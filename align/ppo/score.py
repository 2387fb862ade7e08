"""Score: completions + weighted reward sources -> one score per completion, and which of them count."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from align.data.records import Prompt
from align.rewards.function import Ids, scores_of_tokens
from align.rewards.source import RewardSource


@dataclass(frozen=True)
class WeightedSource:
    """A reward source and how much it counts."""

    source: RewardSource
    weight: float = 1.0


@dataclass(frozen=True)
class Scored:
    """Scores of B completions.

    Attributes:
        total: the weighted sum, 0 where a source gave no finite number. (B,)
        valid: where every source gave a finite number. (B,)
        parts: what each source gave, unweighted; source name -> (B,).
    """

    total: Tensor
    valid: Tensor
    parts: Mapping[str, Tensor]


def score_completions(
    sources: Mapping[str, WeightedSource],
    prompts: Sequence[Prompt],
    completions: Sequence[str],
    completion_ids: Ids | None = None,
) -> Scored:
    """Ask every source about every completion; functions may want its tokens as well.

    Raises:
        ValueError: a source returns another number of scores than it was given completions.
    """
    parts = {}
    for name, item in sources.items():
        given = scores_of_tokens(item.source, prompts, completions, completion_ids)
        if len(given) != len(completions):
            raise ValueError(f"rewards.{name} gave {len(given)} scores for {len(completions)} completions")
        parts[name] = torch.tensor([math.nan if value is None else float(value) for value in given])
    total = torch.stack([sources[name].weight * part for name, part in parts.items()]).sum(dim=0)
    valid = torch.isfinite(total)
    return Scored(total.where(valid, 0.0), valid, parts)
