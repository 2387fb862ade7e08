"""The final number of an answer is read as people write numbers."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.readers.local import local_rows
from align.data.records import Message, Prompt
from align.evaluation.metrics.number import FinalNumber, final_number
from align.evaluation.metrics.words import FirstChoice, Mentions


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 1,234", "1234"),
        ("It is 5, so 12.", "12"),
        ("She pays $3.50.", "3.50"),
        ("first 7 then\n#### 9 (not 10)", "9"),
        ("#### none, so 4", "4"),
        ("-3", "-3"),
        ("it is −3", "-3"),  # a minus sign, as typographers write it
        ("2-3 hours", "3"),
        ("in 2024-05", "5"),
        ("x=-3", "-3"),
        ("no number", None),
    ],
)
def test_final_numbers(text, number):
    assert final_number(text) == (None if number is None else Decimal(number))


@given(st.integers(-(10**9), 10**9))
def test_every_way_of_writing_is_the_same_number(number):
    assert final_number(f"so {number:,}.") == final_number(f"1 + 1\n#### {number}") == Decimal(number)


def test_gsm8k_solutions_are_judged_as_published(align_data):
    """OpenAI's own solutions, right and wrong, with its own verdicts."""
    from itertools import islice

    agreed = total = 0
    for _, row in islice(local_rows(align_data / "gsm8k" / "example_model_solutions.jsonl.gz"), 400):
        prompt = Prompt((Message("user", row["question"]),), {"answer": row["ground_truth"]})
        for kind in ("6b_finetuning", "175b_verification"):
            found = FinalNumber().measure([prompt], [row[kind]["solution"]])["accuracy"].values[0]
            agreed, total = agreed + (found == row[kind]["is_correct"]), total + 1
    assert total == 800 and agreed / total >= 0.995


def test_an_answer_without_a_number_is_told():
    with pytest.raises(ValueError, match="holds no number: 'none'"):
        FinalNumber().measure([Prompt((Message("user", "?"),), {"answer": "none"})], ["1"])


def test_words_and_choices():
    def asked(answer):
        return Prompt((Message("user", "?"),), {"answer": answer})

    said = ["It is 12345.", "123456", "1 2 3", "번호는 12345입니다."]
    mentions = Mentions().measure([asked("12345")] * 4, said)
    assert mentions["accuracy"].values == [1, 0, 0, 1]
    mentions = Mentions().measure([asked("서울")] * 2, ["답은 서울입니다.", "동서울"])
    assert mentions["accuracy"].values == [1, 0]
    choice = FirstChoice(choices=("yes", "no"))
    found = choice.measure([asked("yes"), asked("no"), asked("no")], ["Yes, not no.", "nobody: no", "maybe"])
    assert found["accuracy"].values == [1, 1, 0]
    with pytest.raises(ValueError, match="'perhaps' is none of the choices"):
        choice.measure([asked("perhaps")], [""])
    assert json.dumps(found["accuracy"].values)
