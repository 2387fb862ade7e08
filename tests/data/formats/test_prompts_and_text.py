"""Prompt and text rows."""

from typing import Any

import pytest

from align.data.formats.prompts import asked, prompts, turns
from align.data.formats.text import text, unquoted
from align.data.records import Conversation, Message, PreferencePair, Prompt, RowError, Text

HI = (Message("user", "Hi"),)


@pytest.mark.parametrize(
    "row, expected",
    [
        ({"prompt": "Hi"}, Prompt(HI)),
        ({"prompt": [{"role": "user", "content": "Hi"}]}, Prompt(HI)),
        ({"prompt": "Hi", "reference": None}, Prompt(HI)),
        ({"prompt": "Hi", "reference": "Ho"}, Prompt(HI, {"answer": "Ho"})),
        ({"prompt": "Hi", "reference": 4}, Prompt(HI, {"answer": 4})),
        (
            {"prompt": "Hi", "reference": {"answer": "Ho", "kind": "fact"}},
            Prompt(HI, {"answer": "Ho", "kind": "fact"}),
        ),
    ],
)
def test_prompts(row: dict[str, Any], expected: Prompt) -> None:
    assert prompts(row) == expected


@pytest.mark.parametrize(
    "row, message",
    [
        ({"text": "Hi"}, "no field 'prompt'.*columns: {prompt: <its name>}"),
        ({"prompt": None}, "prompt is null"),
    ],
)
def test_prompts_that_do_not_fit(row: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        prompts(row)


def test_what_was_asked_in_a_pair() -> None:
    pair = PreferencePair(HI, (Message("assistant", "a"),), (Message("assistant", "b"),))
    assert asked(pair) == Prompt(HI)


def test_text() -> None:
    assert text({"text": " a\n"}) == Text(" a\n")
    with pytest.raises(RowError, match="text is null"):
        text({"text": None})


@pytest.mark.parametrize(
    "line, expected",
    [
        ('"a ""b"" c"', 'a "b" c'),
        ("plain", "plain"),
        ('"open', '"open'),
        ('"a" or "b"', '"a" or "b"'),
        ('""', ""),
        ('"', '"'),
    ],
)
def test_quotes_of_a_one_column_table(line: str, expected: str) -> None:
    assert unquoted(Text(line)) == Text(expected)


@pytest.mark.parametrize(
    "row, reference",
    [
        ({"turns": [{"content": "Hi"}]}, {}),
        ({"turns": ["Hi", "More?"], "category": "math"}, {"category": "math", "follow_ups": ["More?"]}),
        ({"turns": ["Hi"], "reference": ["Ho", "No"]}, {"answer": "Ho"}),
    ],
)
def test_the_first_turn_is_asked_and_the_others_are_kept(row: dict[str, Any], reference: Any) -> None:
    assert turns(row) == Prompt(HI, reference)


@pytest.mark.parametrize("value", [None, [], "Hi"])
def test_turns_that_do_not_fit(value: Any) -> None:
    with pytest.raises(RowError, match="expected a list of questions"):
        turns({"turns": value})


def test_a_conversation_is_asked_with_its_answer_as_reference() -> None:
    assert asked(Conversation((*HI, Message("assistant", "Ho")))) == Prompt(HI, {"answer": "Ho"})
