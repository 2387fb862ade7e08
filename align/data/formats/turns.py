"""Turns of a raw row -> messages: roles, content in parts, tool calls, and which turns are learnt.

Two spellings: `{"role", "content"}` (OpenAI, Hugging Face) and `{"from", "value"}` (ShareGPT).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from align.data.formats.fields import kind, text
from align.data.formats.tools import called
from align.data.records import ROLES, Message, Role, RowError

ROLE_NAMES: Mapping[str, Role] = {
    **{role: role for role in ROLES},
    "developer": "system",
    "function": "tool",
}
SPEAKERS: Mapping[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
}
CALLERS = ("function_call",)
WEIGHT = "loss_weight"


def messages_of(turns: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    """Build messages from `{"role", "content"}` mappings; `tool_calls` are written after the content.

    Content is text, or a list of parts of type `text`, which are joined as they stand.

    Raises:
        RowError: a turn is no mapping, has an unknown role, or its content is not text.
    """
    built = []
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, Mapping):
            raise RowError(
                f"turn {number} is {type(turn).__name__}, expected a mapping with role and content"
            )
        role = turn.get("role")
        if not isinstance(role, str) or role not in ROLE_NAMES:
            raise RowError(
                f"turn {number}: unknown role {role!r}; expected one of {', '.join(ROLE_NAMES)}",
                reason="unknown role",
                kind="role",
            )
        calls = turn.get("tool_calls") or []
        content = "" if calls and turn.get("content") is None else _content(number, turn.get("content"))
        told = [called(call.get("function", call)) for call in calls]
        built.append(Message(ROLE_NAMES[role], "\n".join([*filter(None, [content]), *told])))
    return tuple(built)


def spoken(
    turns: Sequence[Mapping[str, Any]], speakers: Mapping[str, Role] = SPEAKERS
) -> tuple[Message, ...]:
    """Build messages from `{"from", "value"}` mappings; a `function_call` is written as the call of a tool.

    Raises:
        RowError: a speaker is unknown, or a value is not text.
    """
    built = []
    for turn in turns:
        speaker, value = text(turn, "from"), text(turn, "value")
        if speaker not in speakers:
            raise RowError(
                f"unknown speaker {speaker!r}; expected one of {', '.join(speakers)}. Give others a role: "
                "`format: {_target_: align.data.formats.dialogues.sharegpt, speakers: "
                f"{{{speaker}: <role>}}}}`",
                reason="unknown speaker",
                kind="role",
            )
        built.append(Message(speakers[speaker], called(value) if speaker in CALLERS else value))
    return tuple(built)


def learnt(turns: Sequence[Mapping[str, Any]]) -> tuple[int, ...] | None:
    """Which turns are learnt, by their `loss_weight` of 0 or 1; None where no turn has one.

    Where some have one, an assistant turn without is learnt, and others are not.

    Raises:
        RowError: a weight is neither 0 nor 1.
    """
    if not any(WEIGHT in turn for turn in turns):
        return None
    found = []
    for place, turn in enumerate(turns):
        weight = turn.get(WEIGHT, float(ROLE_NAMES.get(turn.get("role", "")) == "assistant"))
        if isinstance(weight, bool) or weight not in (0, 1):
            raise RowError(
                f"turn {place + 1}: {WEIGHT} is {weight!r}; a turn is learnt (1) or not (0)",
                reason=f"{WEIGHT} is neither 0 nor 1",
            )
        if weight:
            found.append(place)
    return tuple(found)


def _content(number: int, content: Any) -> str:
    if isinstance(content, list):
        return "".join(_part(number, part) for part in content)
    if not isinstance(content, str):
        is_null = content is None
        raise RowError(
            f"turn {number}: content is {kind(content)}, expected text",
            reason="content is null" if is_null else "content is not text",
            kind="blank" if is_null else "misfit",
        )
    return content


def _part(number: int, part: Any) -> str:
    kind_of_part = part.get("type") if isinstance(part, Mapping) else kind(part)
    if kind_of_part != "text":
        raise RowError(
            f"turn {number}: a part of its content is {kind_of_part!r}; only text can be learnt from",
            reason=f"a part of type {kind_of_part}",
        )
    return text(part, "value" if "value" in part else "text")
