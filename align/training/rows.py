"""Rows: a data specification -> tokenised training and held-out rows.

Writes  data.json for the lineage, languages.json
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from align.artifacts.store import ArtifactDir
from align.data.errors import DataError
from align.data.language_report import report_languages
from align.data.records import Text
from align.data.source import Rows
from align.runtime.processes import rank
from align.runtime.token_checks import TOO_LONG
from align.training.tokenise import Tokenised, TokeniseError

DATA = "data.json"
Tokenise = Callable[[Sequence[Any]], Tokenised]


@dataclass(frozen=True)
class Split:
    """What a trainer trains on and is evaluated on; `held_out` is None where nothing is held out."""

    train: Dataset
    held_out: Dataset | None


def tokenised_split(
    rows: Rows, output: ArtifactDir, tokenise: Tokenise, tokenizer: PreTrainedTokenizerBase
) -> Split:
    """Tokenise both parts and write to `output` what was read, dropped and kept, and what languages cost.

    Raises:
        DataError: a row that its policy calls an error.
    """
    sys.stdout.write("\n".join([*rows.report.lines(), ""]))  # the stage's log says what was dropped, and why
    parts = {"train": tokenise(rows.train)}
    if rows.held_out:
        parts["held_out"] = tokenise(rows.held_out)
    if errors := [finding.error() for part in parts.values() for finding in part.findings.errors]:
        raise DataError("\n".join(f"data: {line}" for line in errors))
    tokenised = {}
    for split, part in parts.items():
        sys.stdout.write(f"{split}: {part.counts['rows']} rows, {part.dropped} dropped\n")
        sys.stdout.writelines(
            f"{split}: {finding.source}: {finding.warning()}\n" for finding in part.findings
        )
        found = [{"source": finding.source, **finding.as_dict()} for finding in part.findings]
        tokenised[split] = {**part.counts, "findings": found}
    output.path.mkdir(parents=True, exist_ok=True)
    report = {"loaded": rows.report.as_dict(), "tokenised": tokenised}
    (output.path / DATA).write_text(json.dumps(report, indent=1), encoding="utf-8")
    if rank() == 0:
        is_text = isinstance(rows.train[0], Text)  # which is cut into blocks, whatever its length
        too_long = None if is_text else lambda part: _too_long(part, tokenise)
        report_languages(rows, tokenizer, output.languages, too_long)
    held_out = parts.get("held_out")
    return Split(parts["train"].dataset, held_out.dataset if held_out else None)


def _too_long(rows: Sequence[Any], tokenise: Tokenise) -> int:
    try:
        findings = tokenise(rows).findings
    except TokeniseError:  # none of these fits, though others did
        return len(rows)
    return sum(finding.count for finding in findings if finding.reason == TOO_LONG)
