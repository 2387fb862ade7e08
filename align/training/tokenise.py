"""Tokenise: canonical rows -> token ids and labels, all rows in one batch.

A completion starts where the rendered prompt ends and stops at its last EOS, which is trained on. Rows over
`max_length` are dropped and counted, never cut: a cut answer teaches not to stop. What tokens show to be
wrong with rows (`align.runtime.token_checks`) is a finding, with its place.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, List, Value, concatenate_datasets
from datasets.arrow_writer import ArrowWriter
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from align.data.records import Conversation, Message, PreferencePair, RowError, Text
from align.data.screening.findings import Findings
from align.data.spec import ScreeningSpec
from align.models.context import context_of
from align.models.rendering import render, render_prompt
from align.runtime.token_checks import SAME_TOKENS, TOO_LONG, TokenChecks

IGNORED = -100
CHUNK = 1000
SOURCE = "source"  # column: the name of the source that a row comes from
USUAL = ScreeningSpec()

Columns = dict[str, list[Any]]


class TokeniseError(RowError):
    """Rows that the tokenizer or its template cannot turn into training rows."""


@dataclass(frozen=True)
class Tokenised:
    """Token columns, a `length` column, of dialogues a `source`; how many rows were dropped, and why."""

    dataset: Dataset
    dropped: int = 0
    findings: Findings = field(default_factory=Findings)

    @property
    def counts(self) -> dict[str, int]:
        """For data.json: rows kept, rows dropped, and the longest row in tokens."""
        longest = int(lengths(self.dataset).max())
        return {"rows": len(self.dataset), "dropped": self.dropped, "longest": longest}


def lengths(dataset: Dataset) -> np.ndarray:
    """Tokens of every row. (N,)"""
    found: np.ndarray = dataset.with_format("numpy")["length"][:]
    return found


def tokenise_conversations(
    rows: Sequence[Conversation],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None,
    policy: ScreeningSpec = USUAL,
    into: Path | None = None,
) -> Tokenised:
    """Columns `input_ids`, `labels` (the turns to be learnt, else -100), `length` in tokens, and `source`.

    `into` names the file to keep them in, instead of memory.
    """
    checks = _checks(tokenizer, max_length, policy)

    def columns(part: Sequence[Conversation]) -> Columns:
        marked = [_learnt(tokenizer, row) for row in part]
        encoded = tokenizer([text for text, _ in marked], add_special_tokens=False)
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

    return _collected(rows, columns, ("input_ids", "labels"), checks, into)


def tokenise_pairs(
    rows: Sequence[PreferencePair],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None,
    policy: ScreeningSpec = USUAL,
    into: Path | None = None,
    *,
    joined: bool = False,
) -> Tokenised:
    """Columns `prompt_ids`, `chosen_ids`, `rejected_ids` (completions alone), `length` of all three together,
    and `source`.

    `max_length` bounds the prompt with the longer completion. With a margin on any row there is a column
    `margin` too, 0 where it is unknown. `joined` puts the prompt at the head of both completions, for reward
    models. `into` names the file to keep them in, instead of memory.
    """
    names = ("chosen_ids", "rejected_ids") if joined else ("prompt_ids", "chosen_ids", "rejected_ids")
    has_margin = False
    checks = _checks(tokenizer, max_length, policy)

    def columns(part: Sequence[PreferencePair]) -> Columns:
        nonlocal has_margin
        has_margin |= any(row.margin is not None for row in part)
        spans = [span for row in part for span in _spans(tokenizer, row.prompt, row.chosen, row.rejected)]
        encoded = _encode(tokenizer, spans)
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
            values = (chosen_ids, chosen_ids[:start] + rejected_ids[start:]) if joined else apart
            for name, ids in zip(names, values, strict=True):
                found[name].append(ids)
            found["length"].append(len(chosen_ids) + len(rejected_ids) - start)
            found["margin"].append(row.margin or 0.0)
            found[SOURCE].append(_source(row))
        return found

    pairs = _collected(rows, columns, names, checks, into)
    if has_margin:
        return pairs
    return replace(pairs, dataset=pairs.dataset.remove_columns("margin"))


def tokenise_texts(
    rows: Sequence[Text], tokenizer: PreTrainedTokenizerBase, block_length: int, into: Path | None = None
) -> Tokenised:
    """Texts joined with EOS and cut into blocks of `block_length` tokens, all of them trained on.

    The remainder that fills no block is dropped, and not counted: `dropped` is 0. `into` names the file to
    keep them in, instead of memory.
    """
    stream: list[int] = []
    checks = TokenChecks(tokenizer, None)

    def columns(part: Sequence[Text]) -> Columns:
        encoded = tokenizer([row.text for row in part], add_special_tokens=False)["input_ids"]
        for row, ids in zip(part, encoded, strict=True):
            if checks.is_unforged(row, (), ids):
                stream.extend([*ids, tokenizer.eos_token_id])
        end = len(stream) // block_length * block_length
        blocks = [stream[start : start + block_length] for start in range(0, end, block_length)]
        del stream[:end]
        return {"input_ids": blocks, "labels": blocks, "length": [block_length] * len(blocks)}

    parts = _tables(rows, columns, ("input_ids", "labels"), into)
    if not len(parts):
        raise TokeniseError(
            f"the text holds {len(stream)} tokens, fewer than one block_length of {block_length}"
        )
    return Tokenised(parts, findings=checks.findings)


def _checks(tokenizer: PreTrainedTokenizerBase, max_length: int | None, policy: ScreeningSpec) -> TokenChecks:
    policies = {TOO_LONG: policy.too_long, SAME_TOKENS: policy.identical_tokens}
    remedy = "Raise trainer.max_length where the model reads more"
    return TokenChecks(tokenizer, max_length, policies, remedy)


def _collected(
    rows: Sequence[Any],
    columns: Callable[[Any], Columns],
    token_names: Sequence[str],
    checks: TokenChecks,
    into: Path | None,
) -> Tokenised:
    dataset = _tables(rows, columns, token_names, into)
    if len(rows) and not len(dataset) and not checks.findings.errors:
        raise TokeniseError(_nothing_left(len(rows), checks.findings))
    return Tokenised(dataset, len(rows) - len(dataset), checks.findings)


def _nothing_left(count: int, findings: Findings) -> str:
    reasons = "; ".join(finding.error() for finding in findings)
    return f"none of {count} rows can be trained on: {reasons}"


def _tables(
    rows: Sequence[Any], columns: Callable[[Any], Columns], token_names: Sequence[str], into: Path | None
) -> Dataset:
    """Arrow tables of some rows at a time: Python lists of all tokens would take ten times the memory."""
    kinds = {name: List(Value("int32")) for name in token_names}
    kinds |= {"length": Value("int32"), SOURCE: Value("string")}

    def tables() -> Iterator[Dataset]:
        for start in range(0, max(len(rows), 1), CHUNK):
            found = columns(rows[start : start + CHUNK])
            features = Features({name: kinds.get(name, Value("float32")) for name in found})
            yield Dataset.from_dict(found, features=features)

    if into is None:
        return concatenate_datasets([*tables()])
    with ArrowWriter(path=str(into)) as writer:
        for table in tables():
            writer.write_table(table.data.table)
        writer.finalize()
    return Dataset.from_file(str(into))


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
    encoded = tokenizer([text for text, _ in spans], add_special_tokens=False)
    starts = [
        _first_token(encoded, row, range(opening, len(text)), 0) for row, (text, opening) in enumerate(spans)
    ]
    return list(zip(encoded["input_ids"], starts, strict=True))


def _first_token(encoded: BatchEncoding, row: int, places: range, otherwise: int) -> int:
    """The token of the first of these characters that any token holds."""
    tokens = (encoded.char_to_token(row, place) for place in places)
    return next((token for token in tokens if token is not None), otherwise)


def row_limit(model: PreTrainedModel, max_length: int | None) -> int | None:
    """The longest row to train on: `max_length`, or fewer where the model has fewer positions."""
    known = [limit for limit in (max_length, context_of(model)) if limit is not None]
    return min(known, default=None)
