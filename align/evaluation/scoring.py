"""Scoring: completions + reward sources -> one score per prompt and source."""

import math
from collections.abc import Mapping, Sequence

from align.data.records import Prompt
from align.rewards.composed import Composed
from align.rewards.source import RewardSource

Scores = dict[str, list[float]]


def scores_of(
    rewards: Mapping[str, RewardSource], prompts: Sequence[Prompt], completions: Sequence[str]
) -> Scores:
    """Reward name -> (N,); the parts of a blend follow it as `<reward>/<part>`.

    Raises:
        ValueError: a source returns another number of scores than it was given completions, or one that is
            not finite.
    """
    scores: Scores = {}
    for name, source in rewards.items():
        parts = source.parts(prompts, completions) if isinstance(source, Composed) else {}
        total = source.total(parts) if isinstance(source, Composed) else source.score(prompts, completions)
        found = {name: total} | {f"{name}/{part}": values for part, values in parts.items()}
        scores |= {key: [float(value) for value in values] for key, values in found.items()}
    for name, values in scores.items():
        if len(values) != len(completions):
            raise ValueError(f"reward {name} gave {len(values)} scores for {len(completions)} completions")
        if bad := [row for row, value in enumerate(values) if not math.isfinite(value)]:
            raise ValueError(f"reward {name} gave {values[bad[0]]} for prompt {bad[0] + 1}")
    return scores
