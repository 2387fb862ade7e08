"""Metric: prompts + completions -> named columns, a value per prompt. Torch-free."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from align.data.records import Prompt


@dataclass(frozen=True, slots=True)
class Column:
    """One value per prompt, and how much it counts. (N,) each.

    What is reported is sum(weight * value) / sum(weight): a weight of 0 leaves a prompt out, as an abstention
    is left out of the answers that may be wrong; one of three instructions weighs 3. None: all count 1.
    What is no share in [0, 1] says so with `is_share=False`, and is not printed in percent.
    """

    values: Sequence[float]
    weights: Sequence[float] | None = None
    is_share: bool = True


Columns = dict[str, Column]


class Metric(Protocol):
    """What a suite is measured by; built from its `metric:` leaf."""

    def measure(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Columns:
        """Column name -> a value per prompt. Both sequences have the same length. (N,)

        Raises:
            ValueError: the prompts' reference lacks what is needed.
        """
        ...
