"""Rows: a data specification -> tokenised training and held-out rows, with data.json for the lineage."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset

from align.artifacts.store import ArtifactDir
from align.data.source import Rows
from align.training.tokenise import Tokenised

DATA = "data.json"
Tokenise = Callable[[Sequence[Any]], Tokenised]


@dataclass(frozen=True)
class Split:
    """What a trainer trains on and is evaluated on; `held_out` is None where nothing is held out."""

    train: Dataset
    held_out: Dataset | None


def tokenised_split(rows: Rows, output: ArtifactDir, tokenise: Tokenise) -> Split:
    """Tokenise both parts and write to `output` what was read, dropped and kept."""
    sys.stdout.write("\n".join([*rows.report.lines(), ""]))  # the stage's log says what was dropped, and why
    train = tokenise(rows.train)
    held_out = tokenise(rows.held_out) if rows.held_out else None
    counts = {"train": train.counts} | ({"held_out": held_out.counts} if held_out else {})
    for split, count in counts.items():
        sys.stdout.write(f"{split}: {count['rows']} rows, {count['too_long']} more were too long\n")
    output.path.mkdir(parents=True, exist_ok=True)
    report = {"loaded": rows.report.as_dict(), "tokenised": counts}
    (output.path / DATA).write_text(json.dumps(report, indent=1), encoding="utf-8")
    return Split(train.dataset, held_out.dataset if held_out else None)
