"""Comparison: rows one after another -> those evaluations ask for, and those earlier ones almost are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from align.data.records import Place, Row, texts_of
from align.data.screening.near_duplicates import NearDuplicates
from align.data.screening.overlap import Overlap
from align.data.spec import Policy, ScreeningSpec

NEAR_DUPLICATE = "near duplicate"
LEAKED = "shares words with an evaluation prompt"
SHOWN = 60


@dataclass(frozen=True)
class Likeness:
    """What a row is like: why it is counted, by which policy, what is said of it, and what can be done."""

    reason: str
    policy: Policy
    message: str
    advice: str


class Comparison:
    """The checks of `screening.overlap` and `screening.near_duplicates`."""

    def __init__(self, spec: ScreeningSpec, evaluation: Mapping[str, Sequence[str]]) -> None:
        """`evaluation` has the prompts of each set that `screening.overlap` names."""
        self._spec = spec
        self._evaluation = evaluation
        self._overlap = Overlap(evaluation)
        self._near = NearDuplicates()
        self._compared: list[Place | None] = []

    def __call__(self, row: Row) -> Likeness | None:
        """The first thing that a row is too much like; None where it is like nothing."""
        return self._leak(row) or self._copy(row)

    def _leak(self, row: Row) -> Likeness | None:
        if self._spec.overlap is None or not (leaks := self._overlap.leaks(texts_of(row))):
            return None
        first = leaks[0]
        asked = " ".join(self._evaluation[first.suite][first.prompt].split())[:SHOWN]
        advice = "remove it, or set screening.overlap.policy to drop"
        return Likeness(LEAKED, self._spec.overlap.policy, f"{LEAKED} of {first.suite}: {asked!r}", advice)

    def _copy(self, row: Row) -> Likeness | None:
        if self._spec.near_duplicates is None:
            return None
        (match,) = self._near.matches(["\n".join(texts_of(row))])
        self._compared.append(row.place)
        if match is None:
            return None
        message = f"{NEAR_DUPLICATE} ({match.similarity:.0%}) of {self._compared[match.earlier]}"
        advice = "remove it, or set screening.near_duplicates to drop"
        return Likeness(NEAR_DUPLICATE, self._spec.near_duplicates, message, advice)
