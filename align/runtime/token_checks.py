"""Token checks: what only tokens show of a row, noted with its place."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from align.data.records import Message, Place, Row
from align.data.screening.findings import Done, Findings
from align.models.rendering import render, render_prompt
from align.models.tokenizer import control_tokens_of

TOO_LONG = "too long"
SAME_TOKENS = "chosen and rejected have the same tokens"
FORGED = "a control token that the template did not write"


class TokenNote(NamedTuple):
    """One row that something is wrong with; rows without a place are all counted."""

    place: Place | None
    reason: str
    done: Done
    message: str
    advice: str


class TokenFindings:
    """Notes -> findings. A row is counted once for each reason, however often a mixture repeats it."""

    def __init__(self) -> None:
        self.findings = Findings()
        self._told: set[tuple[str, Place]] = set()

    def add(self, notes: Iterable[TokenNote]) -> None:
        """Count rows, in order."""
        for note in notes:
            if note.place is not None and (note.reason, note.place) in self._told:
                continue
            place = note.place or Place("", "a row", "?")
            self._told.add((note.reason, place))
            self.findings.note(place.source, note.reason, note.done, str(place), note.message, note.advice)


class TokenChecks:
    """The checks of rows under one tokenizer; `take` has what they found.

    Args:
        tokenizer: the one that made the ids.
        longest: the most tokens that a row may have, None for any number.
        policies: what becomes of rows, by TOO_LONG and SAME_TOKENS; they are dropped by default.
        remedy: what lets longer rows in.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        longest: int | None,
        policies: Mapping[str, Done] | None = None,
        remedy: str = "",
    ) -> None:
        self._notes: list[TokenNote] = []
        self._tokenizer = tokenizer
        self._longest = longest
        self._policies = policies or {}
        self._remedy = remedy
        self._special = frozenset(map(tokenizer.convert_tokens_to_ids, control_tokens_of(tokenizer)))
        self._written: dict[tuple[str, ...], int] = {}

    def take(self) -> list[TokenNote]:
        """What was found since this was called last."""
        taken, self._notes = self._notes, []
        return taken

    def fits(self, row: Row, length: int) -> bool:
        """Whether a row of that many tokens is short enough."""
        if self._longest is None or length <= self._longest:
            return True
        message = f"the row has {length} tokens, {self._longest} are read"
        return self._note(row, TOO_LONG, message, self._remedy)

    def differ(self, row: Row, chosen: Sequence[int], rejected: Sequence[int]) -> bool:
        """Whether the tokens of two completions differ, or they are kept all the same."""
        if list(chosen) != list(rejected):
            return True
        advice = "nothing is learnt from such a pair; set screening.identical_tokens to drop"
        return self._note(row, SAME_TOKENS, SAME_TOKENS, advice)

    def is_unforged(self, row: Row, turns: Sequence[Message], ids: Sequence[int]) -> bool:
        """Whether all control tokens are the template's own: text must never become one.

        `turns` are those that `ids` were made of; none for plain text.
        """
        count = sum(map(self._special.__contains__, ids))
        if not count or count <= self._expected(tuple(turn.role for turn in turns)):
            return True
        held = self._tokenizer.convert_ids_to_tokens([token for token in ids if token in self._special])
        message = f"{FORGED} (the row has {', '.join(dict.fromkeys(held))})"
        self._note(row, FORGED, message, "remove it from the text, or set screening.control_tokens to escape")
        return False

    def _expected(self, roles: tuple[str, ...]) -> int:
        """How many control tokens the template writes for turns of these roles."""
        if not roles:
            return 0
        if roles not in self._written:
            turns = [{"role": role, "content": "x"} for role in roles]
            text = (render if roles[-1] == "assistant" else render_prompt)(self._tokenizer, turns)
            ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            self._written[roles] = sum(map(self._special.__contains__, ids))
        return self._written[roles]

    def _note(self, row: Row, reason: str, message: str, advice: str) -> bool:
        """Remember a row; whether it is kept."""
        done: Done = "error" if reason == FORGED else self._policies.get(reason, "drop")
        is_told = done != "drop" or reason == TOO_LONG
        self._notes.append(TokenNote(row.place, reason, done, message, advice if is_told else ""))
        return done == "keep"
