"""Prompt rows -> Prompt: what a policy is asked, and what is known about the right answer."""

from collections.abc import Mapping
from typing import Any

from align.data.formats.fields import field, turns
from align.data.records import Message, PreferencePair, Prompt, messages_of


def prompts(row: Mapping[str, Any]) -> Prompt:
    """`prompt` as text or a list of messages; `reference`, where given, as a mapping or as one answer.

    A reference that is not a mapping is kept as `{"answer": …}`.

    Raises:
        RowError: the field is missing or malformed.
    """
    prompt, reference = field(row, "prompt"), row.get("reference")
    asked = (Message("user", prompt),) if isinstance(prompt, str) else messages_of(turns(row, "prompt"))
    if reference is None:
        return Prompt(asked)
    return Prompt(asked, reference if isinstance(reference, Mapping) else {"answer": reference})


def asked(row: PreferencePair) -> Prompt:
    """A `map` that keeps of a preference pair what was asked."""
    return Prompt(row.prompt)
