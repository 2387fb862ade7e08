"""Judged rows: two outputs with a preference -> PreferencePair; answers judged one by one -> Answer.

Source  weighted preferences: Dubois et al. 2024, "Length-controlled AlpacaEval", arXiv:2404.04475; votes:
Lee et al. 2023, "SQuARe", arXiv:2305.17696; solutions: Cobbe et al. 2021, arXiv:2110.14168
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from align.data.formats.answers import Answer
from align.data.formats.fields import field, kind, mapping, text, turns
from align.data.formats.instructions import worked
from align.data.formats.turns import messages_of
from align.data.records import Message, PreferencePair, RowError, Unused

EVEN = 1.5
VERDICTS = "Q2: Acceptable or Non-acceptable"
_GRADED = re.compile(
    r"###The instruction to evaluate:\n(.*?)\n\n###Response to evaluate:\n(.*?)\n\n###Score Rubrics:",
    re.DOTALL,
)
SOLVERS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def judged(
    row: Mapping[str, Any], question: str = "instruction", verdict: str = "preference"
) -> PreferencePair:
    """A question, `output_1`, `output_2`, and a verdict: 1, 2, or between them; 0 and 1.5 are ties.

    A preference of 1 + p says that the second is better with probability p. Where it lies between, the margin
    is |2p - 1|, the difference of the two probabilities; for a plain 1 or 2 nothing is known about it.

    Args:
        row: the raw row.
        question: the field that was asked.
        verdict: the field with the preference.

    Raises:
        Unused: a tie.
        RowError: a field is missing or not text, or the preference is null or out of range.
    """
    asked, first, second = (text(row, name) for name in (question, "output_1", "output_2"))
    preference = _number(row, verdict)
    if preference in (0, EVEN):
        raise Unused("a tie")
    if not 1 <= preference <= 2:
        raise RowError(f"{verdict} is {preference}, expected 1 to 2", reason=f"{verdict} is out of range")
    margin = None if preference in (1, 2) else abs(2 * preference - 3)
    chosen, rejected = (second, first) if preference > EVEN else (first, second)
    return PreferencePair(_asked(asked), _said(chosen), _said(rejected), margin)


def hhh(row: Mapping[str, Any]) -> PreferencePair:
    """HHH Alignment as Prometheus ships it: either answer inside a request to grade it, here taken out again.

    Raises:
        RowError: the request is worded in another way, or the two ask different things.
    """
    parts = [_GRADED.search(text(row, f"{side}_instruction")) for side in ("chosen", "rejected")]
    if parts[0] is None or parts[1] is None or parts[0][1] != parts[1][1]:
        raise RowError("the two requests to grade do not hold one instruction", reason="not HHH's wording")
    return PreferencePair(_asked(parts[0][1]), _said(parts[0][2]), _said(parts[1][2]))


def scored(row: Mapping[str, Any], ends: Sequence[str] = (), void: Sequence[str] = ()) -> Answer:
    """`instruction`, `answer` and a numeric `score`; more is better.

    Args:
        row: the raw row.
        ends: what models end their answers with, such as `</s>`: cut off, for it would tell them apart.
        void: texts that stand for no answer where a model gave none; a blank one does so, too.

    Raises:
        Unused: there was no answer.
        RowError: a field is missing or malformed.
    """
    question, answer = text(row, "instruction"), text(row, "answer").strip()
    for end in ends:
        answer = answer.removesuffix(end).strip()
    if answer in ("", *void):
        raise Unused("no answer was given")
    return Answer(_asked(question), _said(answer), score=_number(row, "score"))


def labelled(row: Mapping[str, Any]) -> Answer:
    """`messages` that end with an answer, and whether it is good as `label`: true or false (KTO).

    Raises:
        RowError: a field is missing or malformed.
    """
    messages = messages_of(turns(row, "messages"))
    if not messages or messages[-1].role != "assistant":
        raise RowError("labelled messages must end with an assistant turn")
    label = field(row, "label")
    if not isinstance(label, bool):
        raise RowError(f"label is {kind(label)}, expected true or false", reason="label is not a boolean")
    return Answer(messages[:-1], messages[-1:], is_good=label)


def voted(row: Mapping[str, Any]) -> Answer:
    """`question`, `response`, the verdict `acceptable?` of 0 or 1, and the votes of workers (SQuARe).

    The score is the share of the votes that say acceptable; who does not know counts as half a vote.

    Raises:
        RowError: a field is missing or malformed, or the verdict is not that of the majority.
    """
    verdict = field(row, "acceptable?")
    if isinstance(verdict, bool) or verdict not in (0, 1):
        raise RowError(
            f"acceptable? is {verdict!r}, expected 0 or 1", reason="acceptable? is neither 0 nor 1"
        )
    votes = [text(vote, "acceptable?") for vote in turns(mapping(row, "raw_annotations"), VERDICTS)]
    worth = {"acceptable": 1.0, "dont_know": 0.5, "non-acceptable": 0.0}
    if not votes or not worth.keys() >= set(votes):
        raise RowError(
            f"votes are {votes}, expected {', '.join(worth)}", reason="votes that cannot be counted"
        )
    share = sum(worth[vote] for vote in votes) / len(votes)
    if (share > 0.5) != bool(verdict):
        raise RowError(
            f"the verdict is {verdict}, and {share:.0%} of the votes say acceptable",
            reason="a verdict against its votes",
        )
    return Answer(_asked(text(row, "question")), _said(text(row, "response")), bool(verdict), share)


def gsm8k_solutions(row: Mapping[str, Any], solvers: Sequence[str] = SOLVERS) -> list[Answer]:
    """`question`, and per solver a mapping `{"solution", "is_correct"}`; notes for a calculator are cut out.

    Args:
        row: the raw row.
        solvers: which of them to read.

    Raises:
        RowError: a field is missing or malformed.
    """
    prompt = _asked(text(row, "question"))
    found = []
    for solver in solvers:
        given = mapping(row, solver)
        is_correct = field(given, "is_correct")
        if not isinstance(is_correct, bool):
            raise RowError(f"{solver}.is_correct is {kind(is_correct)}, expected true or false")
        found.append(Answer(prompt, _said(worked(text(given, "solution"))), is_good=is_correct))
    return found


def _asked(question: str) -> tuple[Message, ...]:
    return (Message("user", question),)


def _said(answer: str) -> tuple[Message, ...]:
    return (Message("assistant", answer),)


def _number(row: Mapping[str, Any], name: str) -> float:
    value = field(row, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        told = kind(value) if not isinstance(value, float) else str(value)
        raise RowError(f"{name} is {told}, expected a number", reason=f"{name} is {kind(value)}")
    return float(value)
