"""Tokenise: canonical rows -> token ids and labels in one dataset.

Rows over `max_length` are dropped and counted, never cut: a cut answer teaches not to stop. What tokens show
to be wrong with rows (`align.runtime.token_checks`) is a finding, with its place. Many rows are tokenised by
several processes, some at a time; what comes out is the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, List, Value
from datasets.arrow_writer import ArrowWriter
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from align.data.records import Conversation, PreferencePair, Text
from align.data.screening.findings import Findings
from align.data.spec import ScreeningSpec
from align.models.context import context_of
from align.runtime.token_checks import TokenChecks, TokenFindings, TokenNote
from align.training.token_columns import (
    SOURCE,
    USUAL,
    Columns,
    ConversationColumns,
    Made,
    PairColumns,
    TokeniseError,
)
from align.workers.pool import cores, in_order

CHUNK = 1000
SHARED = 50_000  # rows from which on several processes tokenise them

Maker = ConversationColumns | PairColumns


@dataclass(frozen=True)
class TextBlocks:
    """Plain text as blocks of tokens: the columns of `tokenise_texts`."""

    tokenizer: PreTrainedTokenizerBase
    block_length: int


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
    """The columns of ConversationColumns; `into` names the file to keep them in, instead of memory."""
    return tokenise(rows, ConversationColumns(tokenizer, max_length, policy), into)


def tokenise_pairs(
    rows: Sequence[PreferencePair],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None,
    policy: ScreeningSpec = USUAL,
    into: Path | None = None,
    *,
    joined: bool = False,
) -> Tokenised:
    """The columns of PairColumns, `margin` where any row has one; `into` names the file to keep them in."""
    return tokenise(rows, PairColumns(tokenizer, max_length, policy, joined), into)


def tokenise(rows: Sequence[Any], maker: Maker | TextBlocks, into: Path | None = None) -> Tokenised:
    """Make columns of all rows.

    Args:
        rows: what to tokenise; in memory, or where any process can read them.
        maker: makes columns of some of them.
        into: the file to keep them in; None: in memory.

    Raises:
        TokeniseError: nothing is left of them, or the template does not suit them.
    """
    if isinstance(maker, TextBlocks):
        return tokenise_texts(rows, maker.tokenizer, maker.block_length, into)
    found = TokenFindings()
    has_margin = False

    def columns() -> Iterator[pa.Table]:
        nonlocal has_margin
        shared = cores() if len(rows) >= SHARED else 1
        for table, notes, some_margin in in_order(_Chunks(rows, maker), _spans(rows), shared):
            has_margin |= some_margin
            found.add(notes)
            yield table

    dataset = _dataset(columns(), into)
    findings = found.findings
    if len(rows) and not len(dataset) and not findings.errors:
        raise TokeniseError(_nothing_left(len(rows), findings))
    if isinstance(maker, PairColumns) and not has_margin:
        dataset = dataset.remove_columns("margin")
    return Tokenised(dataset, len(rows) - len(dataset), findings)


def tokenise_texts(
    rows: Sequence[Text], tokenizer: PreTrainedTokenizerBase, block_length: int, into: Path | None = None
) -> Tokenised:
    """Texts joined with EOS and cut into blocks of `block_length` tokens, all of them trained on.

    The remainder that fills no block is dropped, and not counted: `dropped` is 0. `into` names the file to
    keep them in, instead of memory.
    """
    stream: list[int] = []
    checks, found = TokenChecks(tokenizer, None), TokenFindings()

    def columns(part: Sequence[Text]) -> Columns:
        encoded = tokenizer([row.text for row in part], add_special_tokens=False)["input_ids"]
        for row, ids in zip(part, encoded, strict=True):
            if checks.is_unforged(row, (), ids):
                stream.extend([*ids, tokenizer.eos_token_id])
        found.add(checks.take())
        end = len(stream) // block_length * block_length
        blocks = [stream[start : start + block_length] for start in range(0, end, block_length)]
        del stream[:end]
        return {"input_ids": blocks, "labels": blocks, "length": [block_length] * len(blocks)}

    names = ("input_ids", "labels")
    parts = _dataset((_table(columns(rows[span]), names) for span in _spans(rows)), into)
    if not len(parts):
        raise TokeniseError(
            f"the text holds {len(stream)} tokens, fewer than one block_length of {block_length}"
        )
    return Tokenised(parts, findings=found.findings)


@dataclass(frozen=True)
class _Chunks:
    """The work of one process: some of the rows -> their columns."""

    rows: Sequence[Any]
    maker: Maker

    def begin(self) -> Callable[[slice], tuple[pa.Table, list[TokenNote], bool]]:
        """Prepare what every chunk needs."""
        make: Callable[[Any], Made] = self.maker.begin()

        def made(span: slice) -> tuple[pa.Table, list[TokenNote], bool]:
            columns, notes, has_margin = make(self.rows[span])
            return _table(columns, self.maker.names), notes, has_margin

        return made


def _spans(rows: Sequence[Any]) -> Iterator[slice]:
    """Some rows at a time; none at a time where there are none, which have their columns, too."""
    return (slice(start, start + CHUNK) for start in range(0, max(len(rows), 1), CHUNK))


def _nothing_left(count: int, findings: Findings) -> str:
    reasons = "; ".join(finding.error() for finding in findings)
    return f"none of {count} rows can be trained on: {reasons}"


def _table(columns: Columns, token_names: Sequence[str]) -> pa.Table:
    """An Arrow table of some rows: Python lists of all tokens would take ten times the memory."""
    kinds = {name: List(Value("int32")) for name in token_names}
    kinds |= {"length": Value("int32"), SOURCE: Value("string")}
    features = Features({name: kinds.get(name, Value("float32")) for name in columns})
    return pa.table(columns, schema=features.arrow_schema)


def _dataset(tables: Iterator[pa.Table], into: Path | None) -> Dataset:
    if into is None:
        return Dataset(pa.concat_tables(tables))
    with ArrowWriter(path=str(into)) as writer:
        for table in tables:
            writer.write_table(table)
        writer.finalize()
    return Dataset.from_file(str(into))


def row_limit(model: PreTrainedModel, max_length: int | None) -> int | None:
    """The longest row to train on: `max_length`, or fewer where the model has fewer positions."""
    known = [limit for limit in (max_length, context_of(model)) if limit is not None]
    return min(known, default=None)
