"""Answers judged one by one -> conversations or preference pairs: those of one prompt are compared.

Source  all pairs of several ranked answers: Ouyang et al. 2022, arXiv:2203.02155, §3.5; labels without pairs:
Ethayarajh et al. 2024, arXiv:2402.01306
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

from align.data.records import Conversation, Message, Place, PreferencePair, Refusal, RowError, Unused


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a prompt, with a verdict (`is_good`), a score (higher is better), or both.

    Two answers are compared by their verdicts where they have them, else by their scores; the margin of the
    pair is the difference of the scores.
    """

    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    is_good: bool | None = None
    score: float | None = None

    def as_conversation(self) -> Conversation:
        """The answer as a demonstration.

        Raises:
            Unused: it was judged bad.
            Refusal: it has no verdict.
        """
        if self.is_good is None:
            raise Refusal(
                "the answers have scores and no verdict: they make preference pairs, not conversations; "
                "choose another dataset here"
            )
        if not self.is_good:
            raise Unused("an answer that was judged bad")
        return Conversation(self.prompt + self.completion)


@dataclass
class Comparison:
    """The answers of one source, gathered by prompt in the order in which the prompts come first."""

    _answers: dict[tuple[Message, ...], list[tuple[Place, Answer]]] = field(default_factory=dict)

    def add(self, place: Place, answer: Answer) -> None:
        """Remember an answer and where it stands."""
        self._answers.setdefault(answer.prompt, []).append((place, answer))

    def pairs(self) -> Iterator[tuple[Place, PreferencePair | RowError]]:
        """Every two answers of a prompt as (where they stand, the pair or why they make none).

        An answer that is alone with its prompt is told as such, so that each one added is accounted for.
        """
        for answers in self._answers.values():
            if len(answers) == 1:
                yield answers[0][0], Unused("the only answer to its prompt")
            for (place, one), (other_place, other) in combinations(answers, 2):
                yield place.with_other(other_place), compared(one, other)


def compared(one: Answer, other: Answer) -> PreferencePair | RowError:
    """The pair that two answers of one prompt make, or why they make none."""
    ranks = [answer.score if answer.is_good is None else answer.is_good for answer in (one, other)]
    if None in ranks or (one.is_good is None) != (other.is_good is None):
        return RowError(
            f"{one.is_good, one.score} against {other.is_good, other.score}: compare verdicts or scores",
            reason="two answers that were not judged alike",
        )
    if ranks[0] == ranks[1]:
        return Unused(f"a tie: both answers are judged {ranks[0]}", reason="a tie")
    chosen, rejected = (one, other) if ranks[0] > ranks[1] else (other, one)  # type: ignore[operator]
    known = chosen.score is not None and rejected.score is not None
    margin = chosen.score - rejected.score if known else None  # type: ignore[operator]
    return PreferencePair(one.prompt, chosen.completion, rejected.completion, margin)
