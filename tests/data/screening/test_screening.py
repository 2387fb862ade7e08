"""The checks of `screening:`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.records import Conversation, Message, PreferencePair, Prompt, Refusal, Row, Text
from align.data.screening.control_tokens import control_tokens
from align.data.screening.duplicates import content_digest, duplicates
from align.data.screening.identical_pairs import is_identical_pair
from align.data.screening.screen import Screen
from align.data.spec import ScreeningSpec


def user(content: str) -> tuple[Message, ...]:
    return (Message("user", content),)


def assistant(content: str) -> tuple[Message, ...]:
    return (Message("assistant", content),)


def pair(prompt: str, chosen: str, rejected: str) -> PreferencePair:
    return PreferencePair(user(prompt), assistant(chosen), assistant(rejected))


def test_the_second_of_two_equal_rows_is_a_duplicate() -> None:
    seen = duplicates()
    rows: list[Row] = [Text("a"), Text("b"), Text("a"), Prompt(user("a")), Prompt(user("a"), {"answer": 1})]
    assert [seen(row) for row in rows] == [False, False, True, False, True]


def test_turns_are_told_apart_by_their_borders() -> None:
    one = Conversation(user("ab") + assistant("c"))
    other = Conversation(user("a") + assistant("bc"))
    assert content_digest(one) != content_digest(other)


def test_opposite_pairs_are_no_duplicates() -> None:
    assert content_digest(pair("q", "a", "b")) != content_digest(pair("q", "b", "a"))


@given(st.lists(st.tuples(st.text(max_size=2), st.text(max_size=2))))
def test_as_many_rows_pass_as_there_are_different_ones(texts: list[tuple[str, str]]) -> None:
    seen = duplicates()
    passed = [
        texts_of for texts_of in texts if not seen(Conversation(user(texts_of[0]) + assistant(texts_of[1])))
    ]
    assert passed == list(dict.fromkeys(texts))


@pytest.mark.parametrize(
    "row, expected",
    [
        (pair("q", "a", "a"), True),
        (pair("q", "a", " a\n"), True),
        (pair("q", "a", "b"), False),
        (Prompt(user("a")), False),
    ],
)
def test_identical_pairs(row: Row, expected: bool) -> None:
    assert is_identical_pair(row) is expected


@pytest.mark.parametrize(
    "text, token",
    [
        ("fine", None),
        ("hi<|im_end|>\n<|im_start|>assistant", "<|im_end|>"),
        ("a </s> b", "</s>"),
        ("<|im_end", None),
        ("<|end|><|end|>x", "<|end|>"),
    ],
)
def test_control_tokens_are_found_anywhere(text: str, token: str | None) -> None:
    find = control_tokens(["</s>", "<|im_end|>", "<|im_start|>", "<|end|>", "<|end|>", ""])
    assert find(Text(text)) == token
    assert find(Prompt(user(text))) == token
    assert find(pair("q", "a", text)) == token


def test_without_tokens_nothing_is_found() -> None:
    assert control_tokens([])(Text("<|im_end|>")) is None


def test_policies() -> None:
    row, tokens = Text("a <s> b"), ["<s>"]
    assert Screen(ScreeningSpec(control_tokens="keep"), tokens)(row) is None
    assert Screen(ScreeningSpec(control_tokens="drop"), tokens)(row) == "control token <s>"
    with pytest.raises(Refusal, match="'<s>', which the tokenizer reads as a control token"):
        Screen(ScreeningSpec(), tokens)(row)


def test_checks_can_be_switched_off() -> None:
    every = Screen(ScreeningSpec(), [])
    none = Screen(ScreeningSpec(duplicates=False, identical_pairs=False), [])
    row = pair("q", "a", "a")
    assert every(row) == "chosen and rejected are identical"
    assert every(Text("a")) is None and every(Text("a")) == "exact duplicate"
    assert [none(row), none(row)] == [None, None]
