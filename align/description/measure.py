"""Measure: the rows of a source, as a stage would read them -> what a card tells of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from align.data.language_tokens import language_tokens
from align.data.languages import language_of
from align.data.records import (
    Conversation,
    Message,
    PreferencePair,
    Prompt,
    Row,
    Text,
    messages_in,
    texts_of,
)
from align.data.screening.overlap import Overlap
from align.data.screening.personal_data import personal_data
from align.data.source import Rows, load_rows
from align.data.spec import DataSpec, ScreeningSpec, SourceSpec

ANY = Text | Conversation | PreferencePair | Prompt
EVERYTHING = ScreeningSpec(
    duplicates="keep", identical_pairs="keep", conflicting_pairs="keep", control_tokens="drop"
)
LOOKED_AT = 20_000  # rows whose language and length are measured, spread evenly
PERCENTILES = (50, 90, 99, 100)
BATCH = 256


@dataclass(frozen=True)
class Lengths:
    """Rows of one language and their lengths, in tokens of what the turns say, at `PERCENTILES`.

    `too_long` is the share of rows over the length that was named; `per_hangul` are tokens per Hangul
    character.
    """

    rows: int
    tokens: tuple[int, ...]
    too_long: float
    per_hangul: float | None


def usable_rows(name: str, source: SourceSpec, outputs: Path) -> Rows:
    """Every row that fits its shape, repeated ones among them; the others are counted in the report.

    Raises:
        DataError: the data cannot be read, or no row fits.
    """
    plain = replace(source, card=None, allow_unverified=False, bad_rows="drop", weight=None)
    return load_rows(DataSpec(sources={name: plain}, screening=EVERYTHING), ANY, outputs)


def lengths_by_language(
    rows: Sequence[Row], tokenizer: Any, expected: Sequence[str], max_length: int | None = None
) -> dict[str, Lengths]:
    """The most frequent language first."""
    step = max(1, -(-len(rows) // LOOKED_AT))
    found: dict[str, list[int]] = {}
    looked_at = [rows[number] for number in range(0, len(rows), step)]
    for start in range(0, len(looked_at), BATCH):
        texts = ["\n".join(texts_of(row)) for row in looked_at[start : start + BATCH]]
        for text, ids in zip(texts, tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True):
            found.setdefault(language_of(text, expected), []).append(len(ids))
    costs = language_tokens(rows, tokenizer, expected)
    return {
        tag: Lengths(
            len(counts),
            tuple(round(float(q)) for q in np.percentile(counts, PERCENTILES)),
            float(np.mean(np.array(counts) > (max_length or np.inf))),
            costs[tag].per_hangul if tag in costs else None,
        )
        for tag, counts in sorted(found.items(), key=lambda item: -len(item[1]))
    }


def personal_data_counts(rows: Sequence[Row]) -> dict[str, int]:
    """How often each kind of personal data stands in the texts of the rows."""
    counts = Counter(datum.kind for row in rows for text in texts_of(row) for datum in personal_data(text))
    return dict(counts.most_common())


def leaked(rows: Sequence[Row], asked: Mapping[str, Sequence[Row]]) -> dict[str, int]:
    """How many prompts of each evaluation set share words with a text of the rows."""
    questions = {name: [question_of(row) for row in prompts] for name, prompts in asked.items()}
    texts = [text for row in rows for text in texts_of(row)]
    found = {(leak.suite, leak.prompt) for leak in Overlap(questions).leaks(texts)}
    return {name: sum(suite == name for suite, _ in found) for name in asked}


def question_of(row: Row) -> str:
    """What a row asks: its first user turn, of a plain text all of it."""
    if isinstance(row, Text):
        return row.text
    return next((turn.content for turn in messages_in(row) if turn.role == "user"), "")


def sample_of(row: Row) -> str:
    """A row as people read it, turn by turn."""
    if isinstance(row, Text):
        return row.text
    if not isinstance(row, PreferencePair):
        return _turns(row.messages)
    answers = {"chosen": row.chosen, "rejected": row.rejected}
    sides = [f"[{side}] {_turns(turns)}" for side, turns in answers.items()]
    return "\n".join([_turns(row.prompt), *sides])


def _turns(messages: Sequence[Message]) -> str:
    return "\n".join(f"{turn.role}: {turn.content}" for turn in messages)
