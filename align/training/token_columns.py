"""Columns: some canonical rows -> their token ids and labels, and what their tokens show to be wrong.

A completion starts where the rendered prompt ends and stops at its last EOS, which is trained on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from transformers import BatchEncoding, PreTrainedTokenizerBase

from align.data.records import Conversation, Message, PreferencePair, RowError
from align.data.spec import ScreeningSpec
from align.models.rendering import render, render_prompt
from align.runtime.token_checks import SAME_TOKENS, TOO_LONG, TokenChecks, TokenNote

IGNORED = -100
SOURCE = "source"  # column: the name of the source that a row comes from
USUAL = ScreeningSpec()

Columns = dict[str, list[Any]]


class TokeniseError(RowError):
    """Rows that the tokenizer or its template cannot turn into training rows."""


class Made(NamedTuple):
    """Columns of the rows that pass, and what is said of the others."""

    columns: Columns
    notes: list[TokenNote]
    has_margin: bool = False


@dataclass(frozen=True)
class ConversationColumns:
    """Columns `input_ids`, `labels` (the turns to be learnt, else -100), `length` in tokens, and `source`."""

    tokenizer: PreTrainedTokenizerBase
    max_length: int | None
    policy: ScreeningSpec = USUAL

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of tokens."""
        return ("input_ids", "labels")

    def begin(self) -> Callable[[Sequence[Conversation]], Made]:
        """What makes columns of rows."""
        checks = _checks(self.tokenizer, self.max_length, self.policy)
        return lambda part: Made(self._columns(part, checks), checks.take())

    def _columns(self, part: Sequence[Conversation], checks: TokenChecks) -> Columns:
        marked = [_learnt(self.tokenizer, row) for row in part]
        encoded = _encoded(self.tokenizer, [text for text, _ in marked])
        found: Columns = {"input_ids": [], "labels": [], "length": [], SOURCE: []}
        for number, (row, ids, (text, spans)) in enumerate(
            zip(part, encoded["input_ids"], marked, strict=True)
        ):
            if not (checks.is_unforged(row, row.messages, ids) and checks.fits(row, len(ids))):
                continue
            labels = [IGNORED] * len(ids)
            for opening, end in spans:
                first = _first_token(encoded, number, range(opening, end), 0)
                last = _first_token(encoded, number, range(end, len(text)), len(ids))
                labels[first:last] = ids[first:last]
            for name, value in zip(found, (ids, labels, len(ids), _source(row)), strict=True):
                found[name].append(value)
        return found


@dataclass(frozen=True)
class PairColumns:
    """Columns `prompt_ids`, `chosen_ids`, `rejected_ids` (completions alone), `length` of all three together,
    `margin`, 0 where it is unknown, and `source`.

    `max_length` bounds the prompt with the longer completion. `joined` puts the prompt at the head of both
    completions, for reward models.
    """

    tokenizer: PreTrainedTokenizerBase
    max_length: int | None
    policy: ScreeningSpec = USUAL
    joined: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of tokens."""
        apart = ("prompt_ids", "chosen_ids", "rejected_ids")
        return apart[1:] if self.joined else apart

    def begin(self) -> Callable[[Sequence[PreferencePair]], Made]:
        """What makes columns of rows."""
        checks = _checks(self.tokenizer, self.max_length, self.policy)
        return lambda part: Made(
            self._columns(part, checks), checks.take(), any(row.margin is not None for row in part)
        )

    def _columns(self, part: Sequence[PreferencePair], checks: TokenChecks) -> Columns:
        names = self.names
        spans = [
            span for row in part for span in _spans(self.tokenizer, row.prompt, row.chosen, row.rejected)
        ]
        encoded = _encode(self.tokenizer, spans)
        found: Columns = {name: [] for name in (*names, "length", "margin", SOURCE)}
        for row, one, other in zip(part, encoded[::2], encoded[1::2], strict=True):
            (chosen_ids, chosen_start), (rejected_ids, rejected_start) = one, other
            start = min(chosen_start, rejected_start)
            if not (
                checks.is_unforged(row, (*row.prompt, *row.chosen), chosen_ids)
                and checks.is_unforged(row, (*row.prompt, *row.rejected), rejected_ids)
                and checks.fits(row, max(len(chosen_ids), len(rejected_ids)))
                and checks.differ(row, chosen_ids, rejected_ids)
            ):
                continue
            apart = (chosen_ids[:start], chosen_ids[start:], rejected_ids[start:])
            values = (chosen_ids, chosen_ids[:start] + rejected_ids[start:]) if self.joined else apart
            for name, ids in zip(names, values, strict=True):
                found[name].append(ids)
            found["length"].append(len(chosen_ids) + len(rejected_ids) - start)
            found["margin"].append(row.margin or 0.0)
            found[SOURCE].append(_source(row))
        return found


def _checks(tokenizer: PreTrainedTokenizerBase, max_length: int | None, policy: ScreeningSpec) -> TokenChecks:
    policies = {TOO_LONG: policy.too_long, SAME_TOKENS: policy.identical_tokens}
    remedy = "Raise trainer.max_length where the model reads more"
    return TokenChecks(tokenizer, max_length, policies, remedy)


def _encoded(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> BatchEncoding:
    """The ids of texts alone, without masks that nobody reads."""
    return tokenizer(
        texts, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False
    )


def _source(row: Conversation | PreferencePair) -> str:
    return "" if row.place is None else row.place.source


def _learnt(tokenizer: PreTrainedTokenizerBase, row: Conversation) -> tuple[str, list[tuple[int, int]]]:
    """The whole text of a conversation, and from where to where its learnt turns go, in characters."""
    last = len(row.messages) - 1
    learnt = (last,) if row.learnt is None else row.learnt
    spans = {
        place: _spans(tokenizer, row.messages[:place], row.messages[place : place + 1])[0]
        for place in {*learnt, last}
    }
    whole, _ = spans[last]
    if not all(whole.startswith(text) for text, _ in spans.values()):
        raise TokeniseError(
            "the chat template renders a turn differently when others follow, so only the last one can be "
            "learnt; choose another chat_template, or leave out what marks earlier turns to be learnt"
        )
    return whole, [(opening, len(text)) for text, opening in map(spans.__getitem__, learnt)]


def _spans(
    tokenizer: PreTrainedTokenizerBase, prompt: Sequence[Message], *completions: Sequence[Message]
) -> list[tuple[str, int]]:
    """Per completion the whole text, and the number of characters of it that are prompt."""
    turns = [message.as_dict() for message in prompt]
    opening = render_prompt(tokenizer, turns)
    texts = [render(tokenizer, [*turns, *(turn.as_dict() for turn in each)]) for each in completions]
    if not all(text.startswith(opening) for text in texts):
        raise TokeniseError(
            "the chat template renders a prompt differently when an answer follows, so the answer cannot be "
            "told from the prompt; choose another chat_template"
        )
    return [(text, len(opening)) for text in texts]


def _encode(
    tokenizer: PreTrainedTokenizerBase, spans: Sequence[tuple[str, int]]
) -> list[tuple[list[int], int]]:
    """(token ids, index of the first completion token) per text."""
    encoded = _encoded(tokenizer, [text for text, _ in spans])
    starts = [
        _first_token(encoded, row, range(opening, len(text)), 0) for row, (text, opening) in enumerate(spans)
    ]
    return list(zip(encoded["input_ids"], starts, strict=True))


def _first_token(encoded: BatchEncoding, row: int, places: range, otherwise: int) -> int:
    """The token of the first of these characters that any token holds."""
    tokens = (encoded.char_to_token(row, place) for place in places)
    return next((token for token in tokens if token is not None), otherwise)
