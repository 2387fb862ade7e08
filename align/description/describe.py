"""Describe: datasets by name or path -> the card of each, begun or with its measured part brought up to date.

Reads   conf/data/<name>.yaml, or a file by its path
Writes  data_cards/<name>.md, where asked to
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from align.artifacts.durable import write_text
from align.config.compose import compose_source
from align.data.card import CARDS
from align.data.card_schema import read_card
from align.data.errors import DataError
from align.data.formats.table import FORMATS, Format
from align.data.readers.hub import hub_dataset
from align.data.readers.local import files_of, local_rows
from align.data.records import Row, RowError, texts_of
from align.data.spec import SourceSpec
from align.data.standing import EXPECTED
from align.description.facts import columns_of, counted, file_facts
from align.description.measure import (
    leaked,
    lengths_by_language,
    personal_data_counts,
    usable_rows,
)
from align.description.write import Measured, card_of
from align.models.spec import TokenizerSpec
from align.models.tokenizer import build_tokenizer, load_tokenizer

CONF = CARDS.parent / "conf"
# Size of the tokenizer that is trained where none is named, and on how many rows.
VOCABULARY, TAUGHT = 8192, 20_000
TRIED = 20  # rows that tell the format of a file without configuration


def describe(given: argparse.Namespace) -> None:
    """Write or print the card of every dataset that the command names.

    Raises:
        ConfigError: there is no such dataset.
        DataError: one cannot be read, or no format fits it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        asked = {name: _rows(name, given, Path(scratch)) for name in given.against}
        for name in given.names:
            _describe(name, given, asked, Path(scratch))


def _describe(
    name: str, given: argparse.Namespace, asked: Mapping[str, Sequence[Row]], scratch: Path
) -> None:
    source = _source(name, given, scratch)
    card = CARDS / f"{source.card or Path(name).name.partition('.')[0]}.md"
    earlier = card.read_text(encoding="utf-8") if card.is_file() else None
    measured = _measured(card.stem, source, given, asked, scratch)
    text = card_of(measured, earlier)
    if given.write:
        write_text(card, text)
        sys.stdout.write(f"{card}\n")
    else:
        sys.stdout.write(text)


def _measured(
    name: str,
    source: SourceSpec,
    given: argparse.Namespace,
    asked: Mapping[str, Sequence[Row]],
    scratch: Path,
) -> Measured:
    loaded = usable_rows(name, source, scratch)
    rows: Sequence[Row] = loaded.train
    if given.tokenizer:
        tokenizer, told = load_tokenizer(given.tokenizer), given.tokenizer
    else:
        texts = (text for row in rows[:TAUGHT] for text in texts_of(row))
        tokenizer = build_tokenizer(TokenizerSpec(vocab_size=VOCABULARY), texts)
        told = f"byte-level BPE of {len(tokenizer)} tokens, trained on these rows"
    place, columns = _raw(source, given.data)
    return Measured(
        name=name,
        place=place,
        columns=columns,
        account=loaded.report.sources[name],
        lengths=lengths_by_language(rows, tokenizer, _languages(name, given), given.max_length),
        max_length=given.max_length,
        tokenizer=told,
        personal=personal_data_counts(rows),
        evaluation_sets=leaked(rows, {key: found for key, found in asked.items() if key != name}),
        sample=rows[0] if given.sample else None,
    )


def _raw(source: SourceSpec, data: Path) -> tuple[dict[str, object], dict[str, str]]:
    """(where it is, as a card tells it; its columns)."""
    if source.hub is not None:
        count, columns = counted(hub_dataset(source.hub), source.hub.id)
        hub = {"id": source.hub.id} | ({"config": source.hub.config} if source.hub.config else {})
        return {"hub": hub, "splits": {source.hub.split: count}}, columns
    facts = [file_facts(file, data, source) for file in files_of(Path(source.path or "").expanduser())]
    entries = [fact.as_entry() for fact in facts]
    return {"files": entries, "splits": {"train": sum(fact.rows for fact in facts)}}, columns_of(facts)


def _languages(name: str, given: argparse.Namespace) -> Sequence[str]:
    """Those named, those of the card that is there, or the usual."""
    if given.languages:
        return tuple(given.languages)
    card = CARDS / f"{name}.md"
    return tuple(read_card(card).language) if card.is_file() else EXPECTED


def _rows(name: str, given: argparse.Namespace, scratch: Path) -> Sequence[Row]:
    return list(usable_rows(name, _source(name, given, scratch), scratch).train)


def _source(name: str, given: argparse.Namespace, scratch: Path) -> SourceSpec:
    """A dataset by the name of its configuration, or by the path of its file.

    Raises:
        ConfigError: there is neither.
        DataError: no format fits the file.
    """
    if not Path(name).exists():
        return compose_source(name, CONF, given.data, SourceSpec)
    if given.format:
        return SourceSpec(path=name, format=given.format)
    found = _format_of(Path(name))
    sys.stderr.write(f"{name}: read as format {found}; --format names another\n")
    return SourceSpec(path=name, format=found)


def _format_of(file: Path) -> str:
    """The format that fits most of a file's first rows, and at least half of them."""
    rows = [row for _, row in islice(local_rows(file), TRIED)]
    fitting = {name: sum(_fits(FORMATS[name], row) for row in rows) for name in FORMATS}
    best = max(fitting, key=lambda name: fitting[name])
    if 2 * fitting[best] < len(rows) or not rows:
        raise DataError(
            f"{file}: no format fits its first rows; name one with --format ({', '.join(FORMATS)})"
        )
    return best


def _fits(convert: Format, row: Mapping[str, Any]) -> bool:
    try:
        made = convert(row)
        return made is not None and (not isinstance(made, Iterator) or bool(list(made)))
    except RowError:
        return False
