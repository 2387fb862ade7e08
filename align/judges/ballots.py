"""Ballots: votes of people on pairs of answers, as a judge. Torch-free.

Reads   a JSONL or CSV file of votes: `item`, `annotator`, `verdict` (first, second or tie)

An item is two answers in the order in which they were shown, so a vote tells its position by itself.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from align.config.spec import ContentPath
from align.judges.source import Comparison, Verdict

VERDICTS = {"first": 1.0, "tie": 0.5, "second": 0.0}
COLUMNS = ("item", "annotator", "verdict")


class Ballots:
    """The mean of all votes on two answers, whichever was shown first.

    Who votes twice on an item has changed their mind: the later vote counts. A row without a verdict is a
    ballot that was not cast.
    """

    def __init__(self, path: ContentPath) -> None:
        self._votes: dict[str, dict[str, float]] = {}
        for place, row in _rows(Path(path).expanduser()):
            if problem := _problem(row):
                raise ValueError(f"{place}: {problem}")
            if row.get("verdict") in (None, ""):
                continue
            self._votes.setdefault(str(row["item"]), {})[str(row["annotator"])] = VERDICTS[row["verdict"]]

    def problems(self) -> list[str]:
        """A file without any vote."""
        return [] if self._votes else ["the file holds no votes yet"]

    def compare(self, comparisons: Sequence[Comparison]) -> list[Verdict]:
        """One verdict per comparison; those that nobody voted on are `absent`. (N,)"""
        return [self._verdict(item) for item in comparisons]

    def _verdict(self, item: Comparison) -> Verdict:
        forward = list(self._votes.get(item_of(item), {}).values())
        backward = list(self._votes.get(item_of(item.swapped()), {}).values())
        count = len(forward) + len(backward)
        if not count:
            return Verdict(None, "absent")
        value = (sum(forward) + len(backward) - sum(backward)) / count
        return Verdict(value, None, (sum(forward) + sum(backward)) / count)


def item_of(item: Comparison) -> str:
    """The name under which people vote on two answers shown in this order."""
    asked = [turn.as_dict() for turn in item.prompt.messages]
    text = json.dumps([asked, item.first, item.second], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(`file:line`, a row) of either kind of file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise ValueError(f"cannot read {path}: {problem}") from problem
    if path.suffix == ".csv":
        reader = csv.DictReader(StringIO(text, newline=""))  # splitlines would cut at U+2028 too
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise ValueError(f"{path}:1: no column {', no '.join(missing)}; a vote has {', '.join(COLUMNS)}")
        yield from ((f"{path}:{reader.line_num}", row) for row in reader)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"{path}:{number}", json.loads(line)
            except ValueError as problem:
                raise ValueError(f"{path}:{number}: no JSON: {problem}") from problem


def _problem(row: Mapping[str, Any]) -> str | None:
    if not isinstance(row, Mapping):
        return f"a vote has {', '.join(COLUMNS)}"
    if row.get("verdict") in (None, ""):
        return None  # not cast
    if any(row.get(name) in (None, "") for name in COLUMNS):
        return f"a vote has {', '.join(COLUMNS)}"
    if str(row["verdict"]) not in VERDICTS:
        return f"verdict {row['verdict']!r} is none of {', '.join(VERDICTS)}"
    return None
