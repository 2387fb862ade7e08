"""Published: verdicts that others published on their models' answers -> a leaderboard of our own. Torch-free.

Reads   annotations of AlpacaEval: `instruction`, `annotator`, `preference`, and `output_1`, `output_2` by
        `generator_1`, `generator_2`
Source  Li et al. 2023, AlpacaEval; Dubois et al. 2024, arXiv:2404.04475
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from align.data.errors import DataError
from align.data.records import Message
from align.evaluation.constant import Flag, constant_flags
from align.evaluation.judged import Judged, judged, prompt_name
from align.judges.source import Verdict


def published(path: Path) -> tuple[Judged, list[Flag]]:
    """The second model's verdicts against the first's, and a flag for either that answers all alike.

    A preference of 1 is a loss, 2 a win, anything between a share of one; 0 is a tie and null no verdict.

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    rows = _rows(path)
    for number, row in enumerate(rows, start=1):
        if problem := _problem(row):
            raise DataError(f"{path}: row {number}: {problem}")
    try:
        names = [prompt_name((Message("user", row["instruction"]),)) for row in rows]
        texts = [row["output_2"] for row in rows], [row["output_1"] for row in rows]
        verdicts = [_verdict(row["preference"]) for row in rows]
        ((baseline, checkpoint, judge),) = {
            (row["generator_1"], row["generator_2"], row["annotator"]) for row in rows
        }
    except (KeyError, TypeError) as problem:
        raise DataError(f"{path}: these are no annotations of AlpacaEval: {problem}") from problem
    except ValueError as problem:
        raise DataError(f"{path}: the verdicts are on more than one pair of models") from problem
    match = judged(judge, path.name, (checkpoint, baseline), names, texts, verdicts)
    answers = {checkpoint: texts[0], baseline: texts[1]}
    return match, constant_flags(path.name, names, answers)


def _problem(row: Any) -> str | None:
    """What is wrong with the values of a row; absent ones are told of all rows together."""
    for name in ("instruction", "output_1", "output_2"):
        if isinstance(row, Mapping) and not isinstance(row.get(name, ""), str):
            return f"{name} is no text"
    said = row.get("preference") if isinstance(row, Mapping) else None
    if said is None or (isinstance(said, int | float) and (said == 0 or 1 <= said <= 2)):
        return None
    return f"preference {said!r} is neither 0, null nor between 1 and 2"


def _verdict(preference: float | None) -> Verdict:
    if preference is None:
        return Verdict(None, "unparsed")
    return Verdict(0.5 if preference == 0 else float(preference) - 1)


def _rows(path: Path) -> Sequence[Mapping[str, Any]]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as stream:
            rows = json.load(stream)
    except (OSError, ValueError) as problem:
        raise DataError(f"cannot read {path}: {problem}") from problem
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{path}: expected a JSON array of annotations")
    return rows
