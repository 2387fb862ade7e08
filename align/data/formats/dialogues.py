"""Dialogue rows -> Conversation: `messages` (OpenAI, Hugging Face) and `conversations` (ShareGPT)."""

from collections.abc import Mapping
from typing import Any

from align.data.formats.fields import optional_text, text, turns
from align.data.records import Conversation, Message, Role, RowError, messages_of

SHAREGPT_ROLES: Mapping[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}


def messages(row: Mapping[str, Any]) -> Conversation:
    """`messages`: a list of `{"role", "content"}`.

    Raises:
        RowError: the field is missing or malformed, a role is unknown, or a content is not text.
    """
    return Conversation(messages_of(turns(row, "messages")))


def sharegpt(row: Mapping[str, Any]) -> Conversation:
    """`conversations`: a list of `{"from", "value"}`; a `system` field, where given, comes first.

    Raises:
        RowError: the field is missing or malformed, a name is unknown, or a value is not text.
    """
    system = optional_text(row, "system")
    opening = [Message("system", system)] if system.strip() else []
    return Conversation((*opening, *(_message(turn) for turn in turns(row, "conversations"))))


def _message(turn: Mapping[str, Any]) -> Message:
    speaker = text(turn, "from")
    if speaker not in SHAREGPT_ROLES:
        raise RowError(
            f"unknown speaker {speaker!r}; expected one of {', '.join(SHAREGPT_ROLES)}",
            reason="unknown speaker",
            kind="role",
        )
    return Message(SHAREGPT_ROLES[speaker], text(turn, "value"))
