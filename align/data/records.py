"""The canonical row shapes that every dataset is converted to, and the check each row passes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


class RowError(ValueError):
    """A row that does not fit its shape; the reader adds file and line."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str

    def as_dict(self) -> dict[str, str]:
        """The mapping that chat templates expect."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text for pretraining."""

    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A dialogue that ends with the assistant turn to be learnt."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two completions of one prompt, the first of which somebody preferred."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """A dialogue that awaits an assistant turn; `reference` is for scoring and never shown to a model."""

    messages: tuple[Message, ...]
    reference: Mapping[str, Any] = field(default_factory=dict)


Row = Text | Conversation | PreferencePair | Prompt


def messages_of(turns: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    """Build messages from `{"role", "content"}` mappings.

    Raises:
        RowError: a turn lacks a key, has an unknown role, or its content is not text.
    """
    built = []
    for number, turn in enumerate(turns, start=1):
        role, content = turn.get("role"), turn.get("content")
        if role not in ROLES:
            raise RowError(f"turn {number}: unknown role {role!r}; expected one of {', '.join(ROLES)}")
        if not isinstance(content, str):
            raise RowError(f"turn {number}: content is {type(content).__name__}, expected text")
        built.append(Message(role, content))
    return tuple(built)
