"""The canonical row shapes that every dataset is converted to, and the check each row passes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")

# Which roles may come straight after which; None stands for the start of a dialogue.
FOLLOWERS: Mapping[Role | None, tuple[Role, ...]] = {
    None: ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}


Kind = Literal["misfit", "blank", "role", "unanswered", "order"]


class RowError(ValueError):
    """A row that does not fit its shape; the reader adds file and line.

    `reason` is what such rows are counted under: the message without what differs from row to row. `kind`
    says whose policy decides about them: blank or null turns, unknown roles, no answer at the end, turns in
    an impossible order, or anything else.
    """

    def __init__(self, message: str, *, reason: str | None = None, kind: Kind = "misfit") -> None:
        super().__init__(message)
        self.reason = reason or message
        self.kind = kind


class Refusal(RowError):
    """A row that stops the run whatever `bad_rows` says."""


class Unused(RowError):
    """A row that is sound and of no use here: dropped and counted whatever the policies say."""


class Place(NamedTuple):
    """Where a row was read: its source, the file (or the Hub's name), and the line."""

    source: str
    origin: str
    line: str

    def __str__(self) -> str:
        return f"{self.origin}:{self.line}"

    def with_other(self, other: "Place") -> "Place":
        """Where two rows stand that make one together."""
        if other == self:
            return self
        told = other.line if other.origin == self.origin else str(other)
        return self._replace(line=f"{self.line} and {told}")


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
    place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A dialogue that ends with an assistant turn.

    `learnt`: the places from 0 of the assistant turns that are trained on; None means the last one alone.
    """

    messages: tuple[Message, ...]
    learnt: tuple[int, ...] | None = None
    place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two completions of one prompt, the first of which somebody preferred."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    margin: float | None = None
    place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A dialogue that awaits an assistant turn; `reference` is for scoring and never shown to a model."""

    messages: tuple[Message, ...]
    reference: Mapping[str, Any] = field(default_factory=dict)
    place: Place | None = field(default=None, compare=False, repr=False)


Row = Text | Conversation | PreferencePair | Prompt


def texts_of(row: Row) -> tuple[str, ...]:
    """Every piece of text in a row that a model may read, in order."""
    if isinstance(row, Text):
        return (row.text,)
    return tuple(message.content for message in messages_in(row))


def messages_in(row: Conversation | PreferencePair | Prompt) -> tuple[Message, ...]:
    """Every turn of a row, the chosen completion before the rejected one."""
    if isinstance(row, PreferencePair):
        return row.prompt + row.chosen + row.rejected
    return row.messages


def check_row(row: Row) -> None:
    """Check that a row can be learnt from: nothing blank, turns in a possible order, the right one last.

    Raises:
        RowError: the first thing that does not fit.
    """
    if isinstance(row, Text):
        if not row.text.strip():
            raise RowError("the text is blank", kind="blank")
    elif isinstance(row, Conversation):
        _check_turns(row.messages, end="assistant", what="a conversation")
        _check_learnt(row)
    elif isinstance(row, Prompt):
        _check_turns(row.messages, end="user", what="a prompt")
    else:
        _check_turns(row.prompt, end="user", what="the prompt of a pair")
        _check_completion(row, row.chosen, "chosen")
        _check_completion(row, row.rejected, "rejected")


def _check_turns(messages: Sequence[Message], *, end: Role, what: str) -> None:
    if not messages:
        raise RowError(f"{what} has no turns", kind="blank")
    previous: Role | None = None
    for number, message in enumerate(messages, start=1):
        if not message.content.strip():
            raise RowError(
                f"turn {number} ({message.role}) is blank",
                reason=f"a blank {message.role} turn",
                kind="blank",
            )
        if message.role not in FOLLOWERS[previous]:
            place = f"follows {previous}" if previous else "comes first"
            raise RowError(
                f"turn {number}: {message.role} {place}; expected {' or '.join(FOLLOWERS[previous])}",
                reason="turns out of order",
                kind="order",
            )
        previous = message.role
    last = messages[-1].role
    if last != end and not (end == "user" and last == "tool"):
        raise RowError(f"{what} ends with {last}, expected {end}", kind="unanswered")


def _check_learnt(row: Conversation) -> None:
    for place in row.learnt or ():
        if row.messages[place].role != "assistant":
            raise RowError(
                f"turn {place + 1} ({row.messages[place].role}) is to be learnt; only assistant turns can be",
                reason="a turn to be learnt is not the assistant's",
            )
    if row.learnt == ():
        raise RowError("no turn of the conversation is to be learnt")


def _check_completion(pair: PreferencePair, completion: Sequence[Message], name: str) -> None:
    if not completion:
        raise RowError(f"{name} has no turns", kind="blank")
    if any(message.role in ("system", "user") for message in completion):
        raise RowError(
            f"{name} goes on past the first answer ({', '.join(message.role for message in completion)}); "
            "a pair differs in its last answer only",
            reason="chosen and rejected differ before the last answer",
            kind="order",
        )
    _check_turns([*pair.prompt, *completion], end="assistant", what=name)
