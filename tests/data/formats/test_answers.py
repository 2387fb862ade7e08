"""Answers that are judged one by one: which pairs they make, and that none of them gets lost."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.formats.answers import Answer, Comparison
from align.data.records import Conversation, Message, Place, PreferencePair, Refusal, RowError, Unused

SCORES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=12)


def answer(question: str, text: str, is_good: bool | None = None, score: float | None = None) -> Answer:
    return Answer((Message("user", question),), (Message("assistant", text),), is_good, score)


def line(number: int, file: str = "a") -> Place:
    return Place("x", file, str(number))


def compared(answers: list[Answer]) -> list[tuple[Place, PreferencePair | RowError]]:
    comparison = Comparison()
    for number, item in enumerate(answers):
        comparison.add(line(number), item)
    return list(comparison.pairs())


@given(SCORES)
def test_every_two_answers_of_a_prompt_meet_once(given_scores: list[tuple[str, int]]) -> None:
    answers = [answer(q, f"{n}", score=float(s)) for n, (q, s) in enumerate(given_scores)]
    made = [row for _, row in compared(answers) if isinstance(row, PreferencePair)]
    expected = {
        (one.completion[0].content, other.completion[0].content, one.score - other.score)
        for one, other in permutations(answers, 2)
        if one.prompt == other.prompt and one.score > other.score  # type: ignore[operator]
    }
    found = [(row.chosen[0].content, row.rejected[0].content, row.margin) for row in made]
    assert len(found) == len(set(found)) and set(found) == expected


@given(SCORES)
def test_every_answer_is_accounted_for(given_scores: list[tuple[str, int]]) -> None:
    answers = [answer(q, f"{n}", score=float(s)) for n, (q, s) in enumerate(given_scores)]
    told = " and ".join(place.line for place, _ in compared(answers)).split(" and ")
    assert {number for number in told if number} == {str(number) for number in range(len(answers))}


def test_verdicts_come_before_scores_which_tell_by_how_much() -> None:
    [(_, pair)] = compared([answer("q", "voted", False, 0.4), answer("q", "chosen", True, 0.7)])
    assert isinstance(pair, PreferencePair) and pair.margin == pytest.approx(0.3)
    assert pair.chosen[0].content == "chosen"
    [(_, pair)] = compared([answer("q", "good", True), answer("q", "bad", False)])
    assert isinstance(pair, PreferencePair) and pair.margin is None


@pytest.mark.parametrize(
    "answers, kind, message",
    [
        ([answer("q", "a", True)], Unused, "the only answer to its prompt"),
        ([answer("q", "a", True), answer("q", "b", True)], Unused, "a tie"),
        (
            [answer("q", "a", score=2), answer("q", "b", score=2.0)],
            Unused,
            "a tie: both answers are judged 2",
        ),
        ([answer("q", "a", True), answer("q", "b", score=2.0)], RowError, "compare verdicts or scores"),
        ([answer("q", "a"), answer("q", "b")], RowError, "compare verdicts or scores"),
    ],
)
def test_answers_that_make_no_pair(answers: list[Answer], kind: type[RowError], message: str) -> None:
    [(_, problem)] = compared(answers)
    assert type(problem) is kind and message in str(problem)


def test_both_places_are_told() -> None:
    assert str(line(1).with_other(line(1))) == "a:1"
    assert str(line(1).with_other(line(2))) == "a:1 and 2"
    assert str(line(1).with_other(line(2, "b"))) == "a:1 and b:2"


def test_good_answers_are_demonstrations() -> None:
    assert answer("q", "a", True).as_conversation() == Conversation(
        (Message("user", "q"), Message("assistant", "a"))
    )
    with pytest.raises(Unused, match="judged bad"):
        answer("q", "a", False).as_conversation()
    with pytest.raises(Refusal, match="they make preference pairs"):
        answer("q", "a", score=5.0).as_conversation()
