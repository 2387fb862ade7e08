"""Alpaca rows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.formats.instructions import alpaca, final_answer, gsm8k, seed_tasks
from align.data.records import Conversation, Message, RowError


def said(row: Conversation) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in row.messages]


@pytest.mark.parametrize(
    "row, expected",
    [
        (
            {"instruction": "Add.", "input": "1 2", "output": "3"},
            [("user", "Add.\n\n1 2"), ("assistant", "3")],
        ),
        ({"instruction": "Greet.", "input": " ", "output": "Hi"}, [("user", "Greet."), ("assistant", "Hi")]),
        ({"instruction": "Greet.", "input": None, "output": "Hi"}, [("user", "Greet."), ("assistant", "Hi")]),
        ({"instruction": "Greet.", "output": " Hi\n"}, [("user", "Greet."), ("assistant", " Hi\n")]),
        (
            {"system": "Be kind.", "instruction": "Greet.", "output": "Hi"},
            [("system", "Be kind."), ("user", "Greet."), ("assistant", "Hi")],
        ),
    ],
)
def test_instruction_and_input_become_the_question(
    row: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert said(alpaca(row)) == expected


@pytest.mark.parametrize(
    "row, message",
    [
        ({"instruction": "Add.", "input": "", "output": ""}, "output is blank"),
        ({"instruction": " ", "output": "3"}, "instruction is blank"),
        ({"instruction": "Add."}, "no field 'output'; the row has instruction"),
        ({"instruction": "Add.", "output": None}, "output is null, expected text"),
        ({"instruction": "Add.", "output": 3}, "output is int, expected text"),
        ({"instruction": "Add.", "input": ["1"], "output": "3"}, "input is list, expected text"),
    ],
)
def test_rows_that_do_not_fit(row: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        alpaca(row)


def test_unused_columns_are_ignored() -> None:
    assert alpaca({"instruction": "a", "output": "b", "url": "c"}).messages[-1] == Message("assistant", "b")


@given(st.lists(st.tuples(st.text(), st.text(min_size=1).filter(str.strip))))
def test_every_instance_of_a_task_is_a_conversation_in_order(instances: list[tuple[str, str]]) -> None:
    row = {"instruction": "Do.", "instances": [{"input": given, "output": made} for given, made in instances]}
    expected = [
        said(alpaca({"instruction": "Do.", "input": given, "output": made})) for given, made in instances
    ]
    assert [said(task) for task in seed_tasks(row)] == expected


def test_sums_lose_their_calculator_and_keep_their_number() -> None:
    row = gsm8k({"question": "Q", "answer": "500 * 2 = <<500*2=1000>>1,000 clips\n#### 1,000"})
    assert said(row) == [("user", "Q"), ("assistant", "500 * 2 = 1,000 clips\n#### 1,000")]
    assert final_answer(row).reference == {"answer": "1000"}
    with pytest.raises(RowError, match="no final number after ####"):
        gsm8k({"question": "Q", "answer": "1000"})
