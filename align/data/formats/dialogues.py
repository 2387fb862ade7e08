"""Dialogue rows -> Conversation: `messages` (OpenAI, Hugging Face), `conversations` (ShareGPT), text."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from align.data.formats.fields import optional_text, text, turns
from align.data.formats.tools import with_tools
from align.data.formats.turns import SPEAKERS, learnt, messages_of, spoken
from align.data.records import Conversation, Message, Role, RowError

KOREAN_SPEAKERS: Mapping[str, Role] = {"사람": "user", "챗봇": "assistant"}
SPOKEN_LINE = re.compile(r"<([^<>]{1,30})>\s*:\s?(.*)")


def messages(row: Mapping[str, Any]) -> Conversation:
    """`messages`: a list of `{"role", "content"}`; content may come in parts of type `text`.

    Turns with a `loss_weight` of 0 are not learnt, those with 1 are; without any, the last turn is. `tools`
    and `tool_calls`, where given, are written as text.

    Raises:
        RowError: the field is missing or malformed, a role is unknown, a content is not text, or a weight is
            neither 0 nor 1.
    """
    found = turns(row, "messages")
    return _conversation(messages_of(found), row, learnt(found))


def sharegpt(row: Mapping[str, Any], speakers: Mapping[str, Role] | None = None) -> Conversation:
    """`conversations`: a list of `{"from", "value"}`; a `system` field, where given, comes first.

    A `function_call` is an assistant turn, an `observation` a tool's; the system turn tells of `tools`.

    Args:
        row: the raw row.
        speakers: roles of names that ShareGPT has not, beside those that it has.

    Raises:
        RowError: the field is missing or malformed, a name is unknown, or a value is not text.
    """
    system = optional_text(row, "system")
    opening = [Message("system", system)] if system.strip() else []
    told = spoken(turns(row, "conversations"), {**SPEAKERS, **(speakers or {})})
    return _conversation((*opening, *told), row)


def dialogue_text(
    row: Mapping[str, Any],
    opening: str = "<<start conversation>>",
    speakers: Mapping[str, Role] = KOREAN_SPEAKERS,
) -> Conversation:
    """`text`: the line `opening`, then turns that begin with `<name>:`; other lines go on with the turn.

    Raises:
        RowError: the text begins in another way, or a name is not among the `speakers`.
    """
    first, *lines = text(row, "text").split("\n")
    if first.strip() != opening:
        raise RowError(f"a dialogue must begin with the line {opening}")
    told: list[tuple[str, list[str]]] = []
    for line in lines:
        if match := SPOKEN_LINE.fullmatch(line):
            told.append((match[1], [match[2]]))
        elif told:
            told[-1][1].append(line)
        elif line.strip():
            raise RowError("text stands before the first speaker of a dialogue")
    if unknown := [name for name, _ in told if name not in speakers]:
        raise RowError(
            f"unknown speaker {unknown[0]!r}; expected one of {', '.join(speakers)}",
            reason="unknown speaker",
            kind="role",
        )
    return Conversation(tuple(Message(speakers[name], "\n".join(parts).strip()) for name, parts in told))


def every_answer(row: Conversation) -> Conversation:
    """A `map` for dialogues in which every assistant turn is worth learning, not the last alone."""
    places = (place for place, message in enumerate(row.messages) if message.role == "assistant")
    return replace(row, learnt=tuple(places))


def filled(row: Conversation, values: Mapping[str, str]) -> Conversation:
    """A `map` that writes texts in the place of placeholders such as `{{name}}`, in every turn.

    Args:
        row: the conversation.
        values: what stands for each placeholder, braces included in its name.
    """

    def written(content: str) -> str:
        for placeholder, value in values.items():
            content = content.replace(placeholder, value)
        return content

    return replace(row, messages=tuple(replace(turn, content=written(turn.content)) for turn in row.messages))


def _conversation(
    messages: tuple[Message, ...], row: Mapping[str, Any], learnt: tuple[int, ...] | None = None
) -> Conversation:
    offered = with_tools(messages, row.get("tools"))
    shift = len(offered) - len(messages)
    return Conversation(offered, None if learnt is None else tuple(place + shift for place in learnt))
