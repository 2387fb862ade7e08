"""Token cache: rows that lie on disk -> their tokens, made once and found again by whoever needs the same.

The stage finds what its check has made, other processes and resumed runs what the first one made, and so does
another stage with the same rows, tokenizer and length.

Writes  outputs/tokens/<key>/
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from align.artifacts.durable import write_json
from align.artifacts.once import made_once, sweep
from align.config.source import source_digest
from align.data.screening.findings import Finding, Findings
from align.data.source import Rows
from align.data.spec import ScreeningSpec
from align.training.tokenise import Maker, TextBlocks, Tokenised, tokenise

FOLDER, TOKENS, MARK = "tokens", "tokens.arrow", "tokens.json"
KEY_LENGTH = 16


def tokenised(rows: Sequence[Any], key: str | None, maker: Maker | TextBlocks, outputs: Path) -> Tokenised:
    """The tokens of rows.

    Args:
        rows: canonical rows.
        key: names them by content where they lie on disk, and so will their tokens; None: in memory.
        maker: makes them; tokens of the same rows by an equal one are the same.
        outputs: root of everything written.

    Raises:
        TokeniseError: as `tokenise`.
    """
    if key is None:
        return tokenise(rows, maker)

    def make(folder: Path) -> None:
        made = tokenise(rows, maker, folder / TOKENS)
        about = {"dropped": made.dropped, "columns": made.dataset.column_names}
        write_json(folder / MARK, {**about, "findings": told(made.findings)})

    sweep(outputs / FOLDER)
    folder = made_once(outputs / FOLDER / _name(key, maker), MARK, make)
    about = json.loads((folder / MARK).read_bytes())
    dataset = Dataset.from_file(str(folder / TOKENS)).select_columns(about["columns"])
    return Tokenised(dataset, about["dropped"], Findings(Finding(**item) for item in about["findings"]))


def sides(rows: Rows, maker: Maker | TextBlocks, outputs: Path) -> dict[str, Tokenised]:
    """The tokens of what is trained on, and of what is held out where anything is; raises as `tokenised`."""
    parts = {"train": rows.train} | ({"held_out": rows.held_out} if len(rows.held_out) else {})
    return {
        side: tokenised(own, None if rows.key is None else f"{side} {rows.key}", maker, outputs)
        for side, own in parts.items()
    }


def told(findings: Findings) -> list[dict[str, Any]]:
    """Findings as plain values, each with its source."""
    return [{"source": finding.source, **finding.as_dict()} for finding in findings]


def _name(key: str, maker: Maker | TextBlocks) -> str:
    asked = {
        "rows": key,
        "columns": type(maker).__name__,
        "settings": {item.name: _identified(getattr(maker, item.name)) for item in fields(maker)},
        "code": source_digest(tokenised),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]


def _identified(value: Any) -> Any:
    """What of a setting tokens depend on."""
    if isinstance(value, ScreeningSpec):
        return [value.too_long, value.identical_tokens]
    if isinstance(value, PreTrainedTokenizerBase):
        assert value.is_fast  # as `load_tokenizer` sees to
        return [value.backend_tokenizer.to_str(), value.chat_template, str(value.special_tokens_map)]
    return value
