"""Judged rows: preferences between two outputs, labels, scores, votes, right and wrong solutions."""

from typing import Any

import pytest

from align.data.formats.answers import Answer
from align.data.formats.judged import VERDICTS, gsm8k_solutions, hhh, judged, labelled, scored, voted
from align.data.records import RowError, Unused

TWO = {"instruction": "Q", "output_1": "first", "output_2": "second"}
ASKED = [{"role": "user", "content": "Q"}]
SAID = [*ASKED, {"role": "assistant", "content": "A"}]


@pytest.mark.parametrize(
    "preference, chosen, margin",
    [(1, "first", None), (2.0, "second", None), (1.2, "first", 0.6), (1.9, "second", 0.8)],
)
def test_a_preference_says_which_and_how_surely(preference: float, chosen: str, margin: float | None) -> None:
    pair = judged({**TWO, "preference": preference})
    assert pair.chosen[0].content == chosen
    assert {pair.chosen[0].content, pair.rejected[0].content} == {"first", "second"}
    assert pair.margin == (None if margin is None else pytest.approx(margin))


@pytest.mark.parametrize("preference", [0, 0.0, 1.5])
def test_ties_are_of_no_use(preference: float) -> None:
    with pytest.raises(Unused, match="a tie"):
        judged({**TWO, "preference": preference})


def test_the_fields_can_have_other_names() -> None:
    row = {"input": "Q", "output_1": "first", "output_2": "second", "label": 2}
    pair = judged(row, question="input", verdict="label")
    assert (pair.prompt[0].content, pair.chosen[0].content, pair.margin) == ("Q", "second", None)
    for label, told in ((3, "label is 3.0, expected 1 to 2"), (None, "label is null")):
        with pytest.raises(RowError, match=told):
            judged({**row, "label": label}, question="input", verdict="label")


def test_hhh_is_taken_out_of_the_request_to_grade_it() -> None:
    request = "###The instruction to evaluate:\n{}\n\n###Response to evaluate:\n{}\n\n###Score Rubrics:\n[]"
    row = {
        "chosen_instruction": request.format("Q", "kind"),
        "rejected_instruction": request.format("Q", "un"),
    }
    pair = hhh(row)
    assert [turns[0].content for turns in (pair.prompt, pair.chosen, pair.rejected)] == ["Q", "kind", "un"]
    for other in ("not worded so", request.format("another Q", "un")):
        with pytest.raises(RowError, match="do not hold one instruction"):
            hhh({**row, "rejected_instruction": other})


def votes(verdict: Any, *said: str) -> dict[str, Any]:
    given = [{"workerID": place, "acceptable?": vote} for place, vote in enumerate(said)]
    return {"question": "Q", "response": "A", "acceptable?": verdict, "raw_annotations": {VERDICTS: given}}


@pytest.mark.parametrize(
    "row, is_good, score",
    [
        (votes(1, "acceptable", "acceptable", "non-acceptable"), True, 2 / 3),
        (votes(1, "acceptable", "acceptable", "dont_know"), True, 2.5 / 3),
        (votes(0, "non-acceptable", "non-acceptable", "acceptable"), False, 1 / 3),
    ],
)
def test_votes_become_a_share(row: dict[str, Any], is_good: bool, score: float) -> None:
    found = voted(row)
    assert (found.is_good, found.score) == (is_good, pytest.approx(score))


def test_scores_and_labels() -> None:
    assert scored({"instruction": "Q", "answer": " A </s>", "score": 4}, ends=["</s>"]).score == 4.0
    assert (
        scored({"instruction": "Q", "answer": " A </s>", "score": 4}, ends=["</s>"]).completion[0].content
        == "A"
    )
    found = labelled({"messages": SAID, "label": False})
    assert (len(found.prompt), found.completion[0].content, found.is_good) == (1, "A", False)


@pytest.mark.parametrize("said", ["", "###", "no answer", "no answer</s>"])
def test_no_answer_is_not_one_to_avoid(said: str) -> None:
    with pytest.raises(Unused, match="no answer was given"):
        scored({"instruction": "Q", "answer": said, "score": 1}, ends=["</s>", "###"], void=["no answer"])


def test_one_row_of_solutions_makes_several_answers_in_order() -> None:
    row = {
        "question": "Q",
        "a": {"solution": "1 + 1 = <<1+1=2>>2", "is_correct": True},
        "b": {"solution": "3", "is_correct": False},
    }
    found: list[Answer] = gsm8k_solutions(row, solvers=["a", "b"])
    assert [(item.completion[0].content, item.is_good) for item in found] == [
        ("1 + 1 = 2", True),
        ("3", False),
    ]


@pytest.mark.parametrize(
    "convert, row, message",
    [
        (judged, {**TWO, "preference": None}, "preference is null, expected a number"),
        (judged, {**TWO, "preference": 2.5}, "preference is 2.5, expected 1 to 2"),
        (judged, {**TWO, "preference": float("nan")}, "preference is nan"),
        (judged, {**TWO, "preference": True}, "preference is bool"),
        (scored, {"instruction": "Q", "answer": "A", "score": "4"}, "score is str"),
        (labelled, {"messages": ASKED, "label": True}, "must end with an assistant turn"),
        (labelled, {"messages": SAID, "label": 1}, "label is int, expected true or false"),
        (
            voted,
            votes(1, "acceptable", "non-acceptable", "non-acceptable"),
            "33% of the votes say acceptable",
        ),
        (voted, votes(1, "perhaps"), "votes are .'perhaps'."),
        (voted, votes(1), "votes are"),
        (voted, votes("yes", "acceptable"), "acceptable. is 'yes', expected 0 or 1"),
        (gsm8k_solutions, {"question": "Q"}, "no field '6b_finetuning'"),
        (
            gsm8k_solutions,
            {"question": "Q", "6b_finetuning": "x"},
            "6b_finetuning is str, expected a mapping",
        ),
    ],
)
def test_rows_that_do_not_fit(convert: Any, row: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        convert(row)
