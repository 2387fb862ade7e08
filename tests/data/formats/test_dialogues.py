"""`messages` and ShareGPT rows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.formats.dialogues import dialogue_text, every_answer, filled, messages, sharegpt
from align.data.formats.turns import CALLERS, SPEAKERS
from align.data.records import ROLES, Conversation, Message, RowError, check_row


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


CALL = {"name": "weather", "arguments": {"city": "서울"}}
CALLED = '<tool_call>\n{"name": "weather", "arguments": {"city": "서울"}}\n</tool_call>'


@given(st.lists(st.lists(st.text(), max_size=3), max_size=5))
def test_parts_are_joined_as_they_stand(contents: list[list[str]]) -> None:
    row = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "value": part} for part in parts]}
            for parts in contents
        ]
    }
    assert [message.content for message in messages(row).messages] == ["".join(parts) for parts in contents]


@given(st.lists(st.sampled_from([0, 1, 0.0, 1.0, None]), min_size=2, max_size=8))
def test_weights_say_which_turns_are_learnt(weights: list[float | None]) -> None:
    roles = ["assistant" if place % 2 else "user" for place in range(len(weights))]
    turns = [
        {"role": role, "content": "x"} | ({} if weight is None else {"loss_weight": weight})
        for role, weight in zip(roles, weights, strict=True)
    ]
    expected = [
        place
        for place, (role, weight) in enumerate(zip(roles, weights, strict=True))
        if (role == "assistant" if weight is None else weight == 1)
    ]
    found = messages({"messages": turns}).learnt
    assert found == (None if set(weights) == {None} else tuple(expected))


@pytest.mark.parametrize("weight", [0.5, 2, -1, "1", True, None])
def test_other_weights_are_refused(weight: object) -> None:
    with pytest.raises(RowError, match=r"turn 1: loss_weight is .*; a turn is learnt .1. or not .0."):
        messages({"messages": [{"role": "user", "content": "x", "loss_weight": weight}]})


def test_only_an_assistant_can_be_learnt_from_and_somebody_must() -> None:
    turns = (Message("user", "Q"), Message("assistant", "A"))
    with pytest.raises(RowError, match=r"turn 1 .user. is to be learnt"):
        check_row(Conversation(turns, (0,)))
    with pytest.raises(RowError, match="no turn of the conversation is to be learnt"):
        check_row(Conversation(turns, ()))


def test_tool_calls_are_assistant_turns_and_tools_are_told_first() -> None:
    row = {
        "tools": '[{"name": "weather"}]',
        "conversations": [
            {"from": "human", "value": "서울?"},
            {
                "from": "function_call",
                "value": '{"name": "weather", "arguments": "{\\"city\\": \\"서울\\"}"}',
            },
            {"from": "observation", "value": '{"sky": "clear"}'},
            {"from": "gpt", "value": "맑음"},
        ],
    }
    told = every_answer(sharegpt(row))
    check_row(told)
    assert [message.role for message in told.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert '<tools>\n{"name": "weather"}\n</tools>' in told.messages[0].content
    assert told.messages[2].content == CALLED
    assert told.learnt == (2, 4)
    openai = {
        "tools": [{"name": "weather"}],
        "messages": [
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": "서울?"},
            {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": CALL}]},
            {"role": "tool", "content": "clear"},
            {"role": "assistant", "content": "맑음", "loss_weight": 1},
        ],
    }
    same = messages(openai)
    assert same.messages[0].content.startswith("Be kind.\n\n# Tools")
    assert (same.messages[2].content, same.learnt) == (CALLED, (2, 4))


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"tools": "{"}, "tools is not JSON"),
        ({"tools": {"name": "x"}}, "tools is dict, expected a list"),
        ({"conversations": [{"from": "function_call", "value": "call me"}]}, "a tool call is not JSON"),
        ({"conversations": [{"from": "function_call", "value": "{}"}]}, "a tool call needs a `name`"),
    ],
)
def test_malformed_tools_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        sharegpt({"conversations": [{"from": "human", "value": "Hi"}], **fields})


def test_speakers_of_ones_own() -> None:
    row = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "bing", "value": "Ho"}]}
    assert sharegpt(row, speakers={"bing": "assistant"}).messages[1] == Message("assistant", "Ho")


LINE = st.text(alphabet="ab 가.<>:", min_size=1).filter(
    lambda text: text == text.strip() and not text.startswith("<")
)


@given(st.lists(st.lists(LINE, min_size=1, max_size=3), max_size=6))
def test_text_dialogues_are_read_back_turn_by_turn(contents: list[list[str]]) -> None:
    names = ("사람", "챗봇")
    lines = [f"<{names[place % 2]}>: " + "\n".join(parts) for place, parts in enumerate(contents)]
    told = dialogue_text({"text": "\n".join(["<<start conversation>>", *lines])})
    roles = ["assistant" if place % 2 else "user" for place in range(len(contents))]
    expected = list(zip(roles, ("\n".join(parts) for parts in contents), strict=True))
    assert [(message.role, message.content) for message in told.messages] == expected


@pytest.mark.parametrize(
    "text, message",
    [
        ("<사람>: 안녕", "a dialogue must begin with the line <<start conversation>>"),
        ("<<start conversation>>\n안녕", "text stands before the first speaker"),
        ("<<start conversation>>\n<선생님>: 안녕", "unknown speaker '선생님'"),
    ],
)
def test_odd_text_dialogues_are_refused(text: str, message: str) -> None:
    with pytest.raises(RowError, match=message):
        dialogue_text({"text": text})


def test_placeholders_are_filled_in_everywhere() -> None:
    row = Conversation((Message("user", "{{name}}?"), Message("assistant", "{{name}} of {{author}}.")), (1,))
    told = filled(row, {"{{name}}": "Align", "{{author}}": "us"})
    assert [message.content for message in told.messages] == ["Align?", "Align of us."]
    assert told.learnt == (1,)
