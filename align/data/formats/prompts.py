"""Prompt rows -> Prompt: what a policy is asked, and what is known about the right answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from align.data.formats.fields import field, kind, text
from align.data.formats.fields import turns as list_of_turns
from align.data.formats.turns import messages_of
from align.data.records import Conversation, Message, PreferencePair, Prompt, RowError


def prompts(row: Mapping[str, Any]) -> Prompt:
    """`prompt` as text or a list of messages; `reference`, where given, as a mapping or as one answer.

    A reference that is not a mapping is kept as `{"answer": …}`.

    Raises:
        RowError: the field is missing or malformed.
    """
    prompt, reference = field(row, "prompt"), row.get("reference")
    is_text = isinstance(prompt, str)
    asked = (Message("user", prompt),) if is_text else messages_of(list_of_turns(row, "prompt"))
    if reference is None:
        return Prompt(asked)
    return Prompt(asked, reference if isinstance(reference, Mapping) else {"answer": reference})


def turns(row: Mapping[str, Any]) -> Prompt:
    """`turns`: what is asked one after the other, as texts or as `{"content"}`; the first is the prompt.

    The reference holds `follow_ups`, the later ones, where there are any; `category`; and `answer`, the first
    of `reference`, where given.

    Raises:
        RowError: the field is missing, empty, or malformed.
    """
    asked = field(row, "turns")
    if isinstance(asked, str) or not isinstance(asked, Sequence) or not asked:
        raise RowError(f"turns is {kind(asked)}, expected a list of questions", reason="turns is not a list")
    questions = [turn if isinstance(turn, str) else text(turn, "content") for turn in asked]
    answer = next(iter(row.get("reference") or []), None)
    known = {"category": row.get("category"), "follow_ups": questions[1:], "answer": answer}
    reference = {name: value for name, value in known.items() if value}
    return Prompt((Message("user", questions[0]),), reference)


def asked(row: PreferencePair | Conversation) -> Prompt:
    """A `map` that keeps what was asked; the last answer of a conversation becomes the reference."""
    if isinstance(row, PreferencePair):
        return Prompt(row.prompt)
    return Prompt(row.messages[:-1], {"answer": row.messages[-1].content})


def about(row: Prompt, *, key: str, value: str) -> bool:
    """A `filter` that keeps the prompts whose reference says `value` under `key`."""
    return bool(row.reference.get(key) == value)
