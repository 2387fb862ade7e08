"""Token checks: what only tokens show of a row, noted with its place."""

from collections.abc import Mapping, Sequence

from transformers import PreTrainedTokenizerBase

from align.data.records import Message, Place, Row
from align.data.screening.findings import Done, Findings
from align.models.rendering import render, render_prompt
from align.models.tokenizer import control_tokens_of

TOO_LONG = "too long"
SAME_TOKENS = "chosen and rejected have the same tokens"
FORGED = "a control token that the template did not write"


class TokenChecks:
    """The checks of one dataset under one tokenizer; `findings` has what they found.

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
        self.findings = Findings()
        self._tokenizer = tokenizer
        self._longest = longest
        self._policies = policies or {}
        self._remedy = remedy
        self._special = frozenset(map(tokenizer.convert_tokens_to_ids, control_tokens_of(tokenizer)))
        self._written: dict[tuple[str, ...], int] = {}
        self._told: set[tuple[str, Place]] = set()

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
        """Count a row once, however often a mixture repeats it; whether it is kept."""
        done: Done = "error" if reason == FORGED else self._policies.get(reason, "drop")
        place = row.place or Place("", "a row", "?")
        if row.place is None or (reason, place) not in self._told:
            self._told.add((reason, place))
            is_told = done != "drop" or reason == TOO_LONG
            self.findings.note(place.source, reason, done, str(place), message, advice if is_told else "")
        return done == "keep"
