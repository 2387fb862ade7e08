"""`messages` and ShareGPT rows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.formats.dialogues import messages, sharegpt
from align.data.formats.turns import CALLERS, SPEAKERS
from align.data.records import ROLES, Message, RowError


@given(st.lists(st.tuples(st.sampled_from(ROLES), st.text())))
def test_messages_keeps_every_turn_in_order(turns: list[tuple[str, str]]) -> None:
    row = {"messages": [{"role": role, "content": content} for role, content in turns]}
    assert [(message.role, message.content) for message in messages(row).messages] == turns


@given(st.lists(st.tuples(st.sampled_from(sorted(SPEAKERS.keys() - set(CALLERS))), st.text())))
def test_sharegpt_keeps_every_turn_in_order(turns: list[tuple[str, str]]) -> None:
    row = {"conversations": [{"from": speaker, "value": value} for speaker, value in turns]}
    expected = [(SPEAKERS[speaker], value) for speaker, value in turns]
    assert [(message.role, message.content) for message in sharegpt(row).messages] == expected


def test_sharegpt_system_field_comes_first() -> None:
    row = {
        "system": "Be kind.",
        "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}],
    }
    assert sharegpt(row).messages == (
        Message("system", "Be kind."),
        Message("user", "Hi"),
        Message("assistant", "Ho"),
    )


@pytest.mark.parametrize(
    "convert, row, message",
    [
        (messages, {}, "no field 'messages'; the row has no fields"),
        (messages, {"messages": "hi"}, "messages is str, expected a list"),
        (messages, {"messages": ["hi"]}, "turn 1 is str, expected a mapping"),
        (messages, {"messages": [{"role": "usr", "content": "hi"}]}, "turn 1: unknown role 'usr'"),
        (
            messages,
            {"messages": [{"role": "user", "content": [{"type": "image_url", "value": "a.png"}]}]},
            "turn 1: a part of its content is 'image_url'; only text can be learnt from",
        ),
        (messages, {"messages": [{"role": "user", "content": None}]}, "turn 1: content is null"),
        (messages, {"messages": [{"content": "hi"}]}, "turn 1: unknown role None"),
        (
            sharegpt,
            {"conversations": [{"from": "bot", "value": "{}"}]},
            r"unknown speaker 'bot'; .* Give others a role: .*speakers: {bot: <role>}",
        ),
        (sharegpt, {"conversations": [{"from": "human"}]}, "no field 'value'"),
        (sharegpt, {"conversations": [{"from": "human", "value": None}]}, "value is null, expected text"),
        (sharegpt, {"conversations": None}, "conversations is null, expected a list"),
    ],
)
def test_rows_that_do_not_fit(convert: Any, row: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        convert(row)


def test_reasons_do_not_depend_on_the_row() -> None:
    reasons = set()
    for speaker in ("bot", "narrator"):
        with pytest.raises(RowError) as caught:
            sharegpt({"conversations": [{"from": speaker, "value": ""}]})
        reasons.add(caught.value.reason)
    assert reasons == {"unknown speaker"}
