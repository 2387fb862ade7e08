"""Rows: a data specification -> tokenised training and held-out rows.

Writes  data.json for the lineage, languages.json; outputs/tokens/<artifact>-<key>/ for rows that lie on disk
"""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from align.artifacts.durable import write_json
from align.artifacts.once import made_once, sweep
from align.artifacts.store import ArtifactDir
from align.config.source import source_digest
from align.data.errors import DataError
from align.data.language_report import report_languages
from align.data.records import Text
from align.data.screening.findings import Finding, Findings
from align.data.source import Rows
from align.runtime.processes import rank
from align.runtime.token_checks import TOO_LONG
from align.training.tokenise import Tokenised, TokeniseError

DATA = "data.json"
FOLDER, TOKENS, MARK = "tokens", "tokens.arrow", "tokens.json"
Tokenise = Callable[[Sequence[Any], Path | None], Tokenised]


@dataclass(frozen=True)
class Split:
    """What a trainer trains on and is evaluated on; `held_out` is None where nothing is held out."""

    train: Dataset
    held_out: Dataset | None


def tokenised_split(
    rows: Rows,
    output: ArtifactDir,
    outputs: Path,
    tokenise: Tokenise,
    tokenizer: PreTrainedTokenizerBase,
) -> Split:
    """Tokenise both parts and write to `output` what was read, dropped and kept, and what languages cost.

    Args:
        rows: what to tokenise; the tokens of rows that lie on disk are put there, too.
        output: the artifact that is trained.
        outputs: root of everything written.
        tokenise: called with rows and the file to keep their tokens in; None: in memory.
        tokenizer: tells what languages cost.

    Raises:
        DataError: a row that its policy calls an error.
    """
    sys.stdout.write("\n".join([*rows.report.lines(), ""]))  # the stage's log says what was dropped, and why
    sides = {"train": rows.train} | ({"held_out": rows.held_out} if len(rows.held_out) else {})
    parts = {
        side: tokenise(own, None)
        if rows.key is None
        else _on_disk(own, f"{side} {rows.key}", output, outputs, tokenise)
        for side, own in sides.items()
    }
    if errors := [finding.error() for part in parts.values() for finding in part.findings.errors]:
        raise DataError("\n".join(f"data: {line}" for line in errors))
    tokenised = {}
    for split, part in parts.items():
        sys.stdout.write(f"{split}: {part.counts['rows']} rows, {part.dropped} dropped\n")
        sys.stdout.writelines(
            f"{split}: {finding.source}: {finding.warning()}\n" for finding in part.findings
        )
        tokenised[split] = {**part.counts, "findings": _told(part.findings)}
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
        findings = tokenise(rows, None).findings
    except TokeniseError:  # none of these fits, though others did
        return len(rows)
    return sum(finding.count for finding in findings if finding.reason == TOO_LONG)


def _on_disk(
    rows: Sequence[Any], key: str, output: ArtifactDir, outputs: Path, tokenise: Tokenise
) -> Tokenised:
    """Tokens of rows that lie on disk; other processes and resumed runs read what the first one wrote.

    The artifact's name says which tokenizer, template and length make them.
    """

    def make(folder: Path) -> None:
        made = tokenise(rows, folder / TOKENS)
        about = {"dropped": made.dropped, "columns": made.dataset.column_names}
        write_json(folder / MARK, {**about, "findings": _told(made.findings)})

    told = f"{key} {source_digest(_on_disk)}"
    name = f"{output.name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    sweep(outputs / FOLDER)
    folder = made_once(outputs / FOLDER / name, MARK, make)
    about = json.loads((folder / MARK).read_bytes())
    dataset = Dataset.from_file(str(folder / TOKENS)).select_columns(about["columns"])
    return Tokenised(dataset, about["dropped"], Findings(Finding(**item) for item in about["findings"]))


def _told(findings: Findings) -> list[dict[str, Any]]:
    return [{"source": finding.source, **finding.as_dict()} for finding in findings]
