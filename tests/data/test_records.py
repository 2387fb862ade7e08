"""The check that every canonical row passes."""

import pytest

from align.data.records import (
    Conversation,
    Message,
    PreferencePair,
    Prompt,
    Role,
    Row,
    RowError,
    Text,
    check_row,
    texts_of,
)

SHORT: dict[str, Role] = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


def turns(roles: str) -> tuple[Message, ...]:
    return tuple(Message(SHORT[letter], f"{letter}{place}") for place, letter in enumerate(roles))


@pytest.mark.parametrize(
    "row",
    [
        Text("a"),
        Conversation(turns("ua")),
        Conversation(turns("sua")),
        Conversation(turns("uaua")),
        Conversation(turns("uatta")),
        Prompt(turns("u")),
        Prompt(turns("suau")),
        Prompt(turns("uat")),
        PreferencePair(turns("u"), turns("a"), turns("a")),
        PreferencePair(turns("uau"), turns("ata"), turns("a")),
    ],
)
def test_rows_that_fit(row: Row) -> None:
    check_row(row)


@pytest.mark.parametrize(
    "row, message",
    [
        (Text(" \n"), "the text is blank"),
        (Conversation(()), "a conversation has no turns"),
        (Conversation(turns("u")), "a conversation ends with user, expected assistant"),
        (Conversation(turns("au")), "turn 1: assistant comes first; expected system or user"),
        (Conversation(turns("uua")), "turn 2: user follows user; expected assistant"),
        (Conversation(turns("uaa")), "turn 3: assistant follows assistant; expected user or tool"),
        (Conversation(turns("usa")), "turn 2: system follows user"),
        (Conversation(turns("sa")), "turn 2: assistant follows system; expected user"),
        (Conversation(turns("uta")), "turn 2: tool follows user"),
        (Conversation((Message("user", "a"), Message("assistant", " "))), r"turn 2 \(assistant\) is blank"),
        (Prompt(turns("ua")), "a prompt ends with assistant, expected user"),
        (Prompt(turns("s")), "a prompt ends with system"),
        (PreferencePair((), turns("a"), turns("a")), "the prompt of a pair has no turns"),
        (PreferencePair(turns("u"), (), turns("a")), "chosen has no turns"),
        (PreferencePair(turns("u"), turns("a"), turns("t")), "tool follows user"),
        (PreferencePair(turns("u"), turns("a"), turns("aua")), "rejected goes on past the first answer"),
        (
            PreferencePair(turns("u"), turns("a"), (Message("assistant", ""),)),
            r"turn 2 \(assistant\) is blank",
        ),
    ],
)
def test_rows_that_do_not(row: Row, message: str) -> None:
    with pytest.raises(RowError, match=message):
        check_row(row)


def test_texts_of_names_every_text() -> None:
    assert texts_of(PreferencePair(turns("su"), turns("a"), turns("at"))) == ("s0", "u1", "a0", "a0", "t1")
    assert texts_of(Text("x")) == ("x",)
