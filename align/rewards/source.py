"""RewardSource: anything that turns (prompt, completion) into one score."""

from collections.abc import Sequence
from typing import Protocol

from align.data.records import Prompt


class RewardSource(Protocol):
    """Scores completions; built from a `_target_` leaf under `rewards:`.

    `prompt.reference` carries whatever the dataset knows about the right answer.
    """

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        """One score per completion. Both sequences have the same length (B,); so has the result."""
        ...
