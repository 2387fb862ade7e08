"""Judge: anything that says which of two answers to a prompt is better. Torch-free."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from align.data.records import Prompt


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers to one prompt."""

    prompt: Prompt
    first: str
    second: str

    def swapped(self) -> "Comparison":
        """The same two answers in the other order."""
        return Comparison(self.prompt, self.second, self.first)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge makes of a comparison.

    `value` is how much of the verdict goes to the first answer: 1 where it is better, 0 where the second is,
    a half where neither is or the judge disagrees with itself; None for no verdict, `missing` says why:
    `unparsed` (it answered something else), `failed` (it could not be asked) or `absent` (nobody voted).
    `shown_first` is how often it preferred what it read first, a half where it was as often the other; None
    for a judge that reads no order.
    """

    value: float | None
    missing: Literal["unparsed", "failed", "absent"] | None = None
    shown_first: float | None = None


class Judge(Protocol):
    """Compares answers; built from a `_target_` leaf under `judges.<name>.source`.

    A judge whose verdicts are worth keeping says by a property `identity` what they follow from, as JSON.
    """

    def problems(self) -> list[str]:
        """What would keep it from judging, asked before anything is generated; empty when it is ready."""
        ...

    def compare(self, comparisons: Sequence[Comparison]) -> list[Verdict]:
        """One verdict per comparison, in order; must not depend on which answer comes first. (N,)"""
        ...
