"""Preference rows -> PreferencePair: `chosen` and `rejected` in all the shapes they are published in."""

from collections.abc import Mapping, Sequence
from typing import Any

from align.data.formats.fields import field, mapping, turns
from align.data.formats.turns import SPEAKERS, learnt, messages_of, spoken
from align.data.records import Message, PreferencePair, Role, RowError


def pairs(row: Mapping[str, Any]) -> PreferencePair:
    """`chosen` and `rejected`, with an explicit `prompt` or as whole dialogues that share their beginning.

    Text is taken as one turn: `prompt` the user's, `chosen` and `rejected` the assistant's. Where `chosen` is
    a list that opens with another role than assistant, it is a whole dialogue, and `prompt` (often a copy of
    its first turn) is not read. `margin`, where given, says by how much the first is better.

    Raises:
        RowError: a field is missing or malformed, the dialogues have no common beginning, or a last answer
            has a `loss_weight` of 0.
    """
    chosen, rejected = _completion(row, "chosen"), _completion(row, "rejected")
    margin = _margin(row)
    if chosen and chosen[0].role != "assistant":
        return split_at_difference(chosen, rejected, margin)
    prompt = field(row, "prompt")
    opening = (Message("user", prompt),) if isinstance(prompt, str) else messages_of(turns(row, "prompt"))
    return PreferencePair(opening, chosen, rejected, margin)


def sharegpt_pairs(row: Mapping[str, Any], speakers: Mapping[str, Role] | None = None) -> PreferencePair:
    """`conversations` up to the question, `chosen` and `rejected` one turn each; all `{"from", "value"}`.

    Args:
        row: the raw row.
        speakers: roles of names that ShareGPT has not, beside those that it has.

    Raises:
        RowError: a field is missing or malformed, a name is unknown, or a value is not text.
    """
    roles = {**SPEAKERS, **(speakers or {})}
    prompt = spoken(turns(row, "conversations"), roles)
    chosen, rejected = (spoken([mapping(row, name)], roles) for name in ("chosen", "rejected"))
    return PreferencePair(prompt, chosen, rejected, _margin(row))


def split_at_difference(
    chosen: Sequence[Message], rejected: Sequence[Message], margin: float | None = None
) -> PreferencePair:
    """Two whole dialogues -> their common beginning, up to its last user turn, and what follows in each.

    Raises:
        RowError: they differ from the first turn on, or one has no answer after the common beginning.
    """
    shared = 0
    for one, other in zip(chosen, rejected, strict=False):
        if one != other:
            break
        shared += 1
    shared = min(shared, len(chosen) - 1, len(rejected) - 1)
    # An answer both share in full belongs to the prompt only when a question follows it.
    while shared > 0 and chosen[shared - 1].role == "assistant":
        shared -= 1
    if shared <= 0:
        raise RowError("chosen and rejected have no prompt in common")
    return PreferencePair(tuple(chosen[:shared]), tuple(chosen[shared:]), tuple(rejected[shared:]), margin)


def _completion(row: Mapping[str, Any], name: str) -> tuple[Message, ...]:
    value = field(row, name)
    if isinstance(value, str):
        return (Message("assistant", value),)
    found = turns(row, name)
    messages, weighted = messages_of(found), learnt(found)
    if weighted is not None and len(messages) - 1 not in weighted:
        raise RowError(f"the last turn of {name} has a loss_weight of 0, so there is nothing to compare")
    return messages


def _margin(row: Mapping[str, Any]) -> float | None:
    value = row.get("margin")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowError(
            f"margin is {type(value).__name__}, expected a number", reason="margin is not a number"
        )
    return float(value)
