"""Tokenise: canonical rows -> token ids and labels, all rows in one batch.

A completion starts where the rendered prompt ends and stops at its last EOS, which is trained on. Rows over
`max_length` are dropped and counted, never cut: a cut answer teaches not to stop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from datasets import Dataset, Features, List, Value, concatenate_datasets
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from align.data.records import Conversation, Message, PreferencePair, RowError, Text
from align.models.context import context_of
from align.models.rendering import render, render_prompt

IGNORED = -100
CHUNK = 1000

Columns = dict[str, list[Any]]


class TokeniseError(RowError):
    """Rows that the tokenizer or its template cannot turn into training rows."""


@dataclass(frozen=True)
class Tokenised:
    """Token columns, a `length` column, and how many rows were too long."""

    dataset: Dataset
    too_long: int

    @property
    def counts(self) -> dict[str, int]:
        """For data.json: rows kept, rows dropped, and the longest row in tokens."""
        return {"rows": len(self.dataset), "too_long": self.too_long, "longest": max(self.dataset["length"])}


def tokenise_conversations(
    rows: Sequence[Conversation], tokenizer: PreTrainedTokenizerBase, max_length: int | None
) -> Tokenised:
    """Columns `input_ids`, `labels` (the last assistant turn, else -100) and `length` in tokens."""

    def columns(part: Sequence[Conversation]) -> Columns:
        spans = [span for row in part for span in _spans(tokenizer, row.messages[:-1], row.messages[-1:])]
        kept = [(ids, start) for ids, start in _encode(tokenizer, spans) if _fits(len(ids), max_length)]
        return {
            "input_ids": [ids for ids, _ in kept],
            "labels": [[IGNORED] * start + ids[start:] for ids, start in kept],
            "length": [len(ids) for ids, _ in kept],
        }

    return _collected(rows, columns, ("input_ids", "labels"), max_length)


def tokenise_pairs(
    rows: Sequence[PreferencePair], tokenizer: PreTrainedTokenizerBase, max_length: int | None
) -> Tokenised:
    """Columns `prompt_ids`, `chosen_ids`, `rejected_ids` (completions alone), `length` of all three together.

    `max_length` bounds the prompt with the longer completion. With a margin on any row there is a column
    `margin` too, 0 where it is unknown.
    """
    names = ("prompt_ids", "chosen_ids", "rejected_ids")

    def columns(part: Sequence[PreferencePair]) -> Columns:
        spans = [span for row in part for span in _spans(tokenizer, row.prompt, row.chosen, row.rejected)]
        encoded = _encode(tokenizer, spans)
        found: Columns = {name: [] for name in (*names, "length", "margin")}
        for row, one, other in zip(part, encoded[::2], encoded[1::2], strict=True):
            (chosen_ids, chosen_start), (rejected_ids, rejected_start) = one, other
            if not _fits(max(len(chosen_ids), len(rejected_ids)), max_length):
                continue
            start = min(chosen_start, rejected_start)
            values = (chosen_ids[:start], chosen_ids[start:], rejected_ids[start:])
            for name, ids in zip(names, values, strict=True):
                found[name].append(ids)
            found["length"].append(len(chosen_ids) + len(rejected_ids) - start)
            found["margin"].append(row.margin or 0.0)
        return found

    pairs = _collected(rows, columns, names, max_length)
    if any(row.margin is not None for row in rows):
        return pairs
    return replace(pairs, dataset=pairs.dataset.remove_columns("margin"))


def join_prompts(pairs: Tokenised) -> Tokenised:
    """The same pairs with the prompt at the head of `chosen_ids` and `rejected_ids`, for reward models."""

    def joined(part: Columns) -> Columns:
        return {
            side: [prompt + ids for prompt, ids in zip(part["prompt_ids"], part[side], strict=True)]
            for side in ("chosen_ids", "rejected_ids")
        }

    kept = [name for name in pairs.dataset.column_names if name in ("length", "margin")]
    others = [name for name in pairs.dataset.column_names if name not in kept]
    return replace(pairs, dataset=pairs.dataset.map(joined, batched=True, remove_columns=others))


def tokenise_texts(rows: Sequence[Text], tokenizer: PreTrainedTokenizerBase, block_length: int) -> Tokenised:
    """Texts joined with EOS and cut into blocks of `block_length` tokens, all of them trained on.

    The remainder that fills no block is dropped; `too_long` is 0.
    """
    stream: list[int] = []

    def columns(part: Sequence[Text]) -> Columns:
        for ids in tokenizer([row.text for row in part], add_special_tokens=False)["input_ids"]:
            stream.extend([*ids, tokenizer.eos_token_id])
        end = len(stream) // block_length * block_length
        blocks = [stream[start : start + block_length] for start in range(0, end, block_length)]
        del stream[:end]
        return {"input_ids": blocks, "labels": blocks, "length": [block_length] * len(blocks)}

    parts = _tables(rows, columns, ("input_ids", "labels"))
    if not len(parts):
        raise TokeniseError(
            f"the text holds {len(stream)} tokens, fewer than one block_length of {block_length}"
        )
    return Tokenised(parts, too_long=0)


def _collected(
    rows: Sequence[Any], columns: Callable[[Any], Columns], token_names: Sequence[str], max_length: int | None
) -> Tokenised:
    dataset = _tables(rows, columns, token_names)
    if len(rows) and not len(dataset):
        raise TokeniseError(
            f"all {len(rows)} rows are longer than {max_length} tokens: raise trainer.max_length, or choose "
            "a model that reads more"
        )
    return Tokenised(dataset, too_long=len(rows) - len(dataset))


def _tables(rows: Sequence[Any], columns: Callable[[Any], Columns], token_names: Sequence[str]) -> Dataset:
    """Arrow tables of some rows at a time: Python lists of all tokens would take ten times the memory."""
    kinds = {name: List(Value("int32")) for name in token_names} | {"length": Value("int32")}
    parts = []
    for start in range(0, max(len(rows), 1), CHUNK):
        found = columns(rows[start : start + CHUNK])
        features = Features({name: kinds.get(name, Value("float32")) for name in found})
        parts.append(Dataset.from_dict(found, features=features))
    return concatenate_datasets(parts)


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
        next(
            (
                token
                for place in range(opening, len(text))
                if (token := encoded.char_to_token(row, place)) is not None
            ),
            0,
        )
        for row, (text, opening) in enumerate(spans)
    ]
    return list(zip(encoded["input_ids"], starts, strict=True))


def row_limit(model: PreTrainedModel, max_length: int | None) -> int | None:
    """The longest row to train on: `max_length`, or fewer where the model has fewer positions."""
    known = [limit for limit in (max_length, context_of(model)) if limit is not None]
    return min(known, default=None)


def _fits(length: int, max_length: int | None) -> bool:
    return max_length is None or length <= max_length
