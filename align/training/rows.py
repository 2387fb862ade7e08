"""Rows: a data specification -> tokenised training and held-out rows.

Writes  data.json for the lineage, languages.json; tokens of rows on disk (align.training.token_cache)
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset

from align.artifacts.store import ArtifactDir
from align.data.errors import DataError
from align.data.language_report import report_languages
from align.data.records import Text
from align.data.source import Rows
from align.runtime.processes import rank
from align.runtime.token_checks import TOO_LONG
from align.training.token_cache import sides, told
from align.training.token_columns import TokeniseError
from align.training.tokenise import Maker, TextBlocks, tokenise

DATA = "data.json"


@dataclass(frozen=True)
class Split:
    """What a trainer trains on and is evaluated on; `held_out` is None where nothing is held out."""

    train: Dataset
    held_out: Dataset | None


def tokenised_split(
    rows: Rows,
    output: ArtifactDir,
    outputs: Path,
    maker: Maker | TextBlocks,
) -> Split:
    """Tokenise both parts and write to `output` what was read, dropped and kept, and what languages cost.

    Args:
        rows: what to tokenise; the tokens of rows that lie on disk are put there, too.
        output: the artifact that is trained.
        outputs: root of everything written.
        maker: makes columns of tokens of rows; its tokenizer tells what languages cost, too.

    Raises:
        DataError: a row that its policy calls an error.
    """
    sys.stdout.write("\n".join([*rows.report.lines(), ""]))  # the stage's log says what was dropped, and why
    parts = sides(rows, maker, outputs)
    if errors := [finding.error() for part in parts.values() for finding in part.findings.errors]:
        raise DataError("\n".join(f"data: {line}" for line in errors))
    report = {}
    for split, part in parts.items():
        sys.stdout.write(f"{split}: {part.counts['rows']} rows, {part.dropped} dropped\n")
        sys.stdout.writelines(
            f"{split}: {finding.source}: {finding.warning()}\n" for finding in part.findings
        )
        report[split] = {**part.counts, "findings": told(part.findings)}
    output.path.mkdir(parents=True, exist_ok=True)
    content = {"loaded": rows.report.as_dict(), "tokenised": report}
    (output.path / DATA).write_text(json.dumps(content, indent=1), encoding="utf-8")
    if rank() == 0:
        is_text = isinstance(rows.train[0], Text)  # which is cut into blocks, whatever its length
        too_long = None if is_text else lambda part: _too_long(part, maker)
        report_languages(rows, maker.tokenizer, output.languages, too_long)
    held_out = parts.get("held_out")
    return Split(parts["train"].dataset, held_out.dataset if held_out else None)


def _too_long(rows: Sequence[Any], maker: Maker | TextBlocks) -> int:
    try:
        findings = tokenise(rows, maker).findings
    except TokeniseError:  # none of these fits, though others did
        return len(rows)
    return sum(finding.count for finding in findings if finding.reason == TOO_LONG)
