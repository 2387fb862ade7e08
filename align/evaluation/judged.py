"""Judged: one judge's verdicts on two checkpoints' answers to a suite, as they are kept. Torch-free.

Reads   comparisons.jsonl
Writes  comparisons.jsonl: one line for each judge, suite and pair of checkpoints
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from align.artifacts.durable import write_text
from align.artifacts.json_lines import read_json_lines
from align.data.records import Message
from align.evaluation.statistics import Floats
from align.judges.source import Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """Verdicts on `checkpoint`'s answers against `baseline`'s, row by row of a suite.

    `prompts` names what was asked: rows that ask the same have the same name. `values` is how much of each
    comparison `checkpoint` won, from 0 to 1, None where there is no verdict; `missing` counts why.
    `shown_first` is how often the answer read first was preferred, None where the judge reads no order.
    `characters` is the length of either answer.
    """

    judge: str
    suite: str
    checkpoint: str
    baseline: str
    prompts: Sequence[str]
    values: Sequence[float | None]
    missing: Mapping[str, int]
    shown_first: Sequence[float | None]
    characters: Sequence[tuple[int, int]]

    @property
    def pair(self) -> tuple[str, str]:
        """(checkpoint, baseline)"""
        return self.checkpoint, self.baseline


@dataclass(frozen=True)
class Table:
    """Verdicts of several pairs on the same prompts: one row per prompt, one column per pair.

    `values` is the share won (C, M), NaN where there is no verdict; `longer` is the mean difference in length
    in characters (C, M).
    """

    values: Floats
    longer: Floats


def judged(
    judge: str,
    suite: str,
    pair: tuple[str, str],
    prompts: Sequence[str],
    texts: tuple[Sequence[str], Sequence[str]],
    verdicts: Sequence[Verdict],
) -> Judged:
    """Verdicts on the two checkpoints' `texts`, with what is needed to count them later."""
    return Judged(
        judge=judge,
        suite=suite,
        checkpoint=pair[0],
        baseline=pair[1],
        prompts=list(prompts),
        values=[verdict.value for verdict in verdicts],
        missing=dict(Counter(verdict.missing for verdict in verdicts if verdict.missing)),
        shown_first=[verdict.shown_first for verdict in verdicts],
        characters=[(len(own), len(other)) for own, other in zip(*texts, strict=True)],
    )


def prompt_name(messages: Sequence[Message]) -> str:
    """A name that the same question has in every evaluation."""
    asked = json.dumps([message.as_dict() for message in messages], sort_keys=True)
    return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def table_of(matches: Sequence[Judged]) -> Table:
    """All pairs side by side; rows that ask the same are one prompt, which counts once."""
    names = {name: row for row, name in enumerate(dict.fromkeys(n for item in matches for n in item.prompts))}
    won, count, longer = np.zeros((3, len(names), len(matches)))
    for column, item in enumerate(matches):
        known = [row for row, value in enumerate(item.values) if value is not None]
        place = [names[item.prompts[row]] for row in known]
        np.add.at(won[:, column], place, [value for value in item.values if value is not None])
        np.add.at(
            longer[:, column], place, [item.characters[row][0] - item.characters[row][1] for row in known]
        )
        np.add.at(count[:, column], place, 1)
    with np.errstate(invalid="ignore"):
        return Table(won / count, longer / count)


def write_judged(path: Path, matches: Sequence[Judged]) -> None:
    """Write comparisons.jsonl."""
    write_text(path, "".join(json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in matches))


def read_judged(path: Path) -> list[Judged]:
    """What `write_judged` wrote."""
    return [Judged(**row) for row in read_json_lines(path)]
