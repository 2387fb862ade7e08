"""Best of n: several completions per prompt -> the one that a reward source likes best.

What a reward model is worth without any training: the honest and cheap competitor of PPO.
Source  Stiennon et al. 2020, arXiv:2009.01325, §4.1; Gao et al. 2022, arXiv:2210.10760
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from align.config.spec import PositiveInt, Spec
from align.data.records import Prompt
from align.rewards.source import RewardSource

if TYPE_CHECKING:  # the specification is read in the process that plans a run, which never loads torch
    from align.generation.sampler import Completion


@dataclass(frozen=True, kw_only=True)
class BestOfSpec(Spec):
    """Draw `n` completions of a checkpoint and keep the one that `reward`, one of `rewards`, likes best."""

    checkpoint: str
    reward: str
    n: PositiveInt = 4


def best_completions(
    draws: "Sequence[Sequence[Completion]]", prompts: Sequence[Prompt], source: RewardSource
) -> "list[Completion]":
    """For every prompt the completion with the highest score; the earliest of equals.

    Args:
        draws: each a completion per prompt. (n, N)
        prompts: what was asked. (N,)
        source: who judges.
    """
    scores = [source.score(prompts, [completion.text for completion in draw]) for draw in draws]
    best = [max(range(len(draws)), key=lambda draw: scores[draw][row]) for row in range(len(prompts))]
    return [draws[draw][row] for row, draw in enumerate(best)]
