"""Kept: verdicts that cost something are asked for once, and written down as they come. Torch-free.

Writes  outputs/verdicts/<judge>.jsonl: what its verdicts follow from, then one line per comparison
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from align.judges.source import Comparison, Judge, Verdict

FOLDER = "verdicts"
CHUNK = 32  # comparisons between two writes; when none of so many can be asked about, nobody answers any more


class Kept:
    """Another judge, whose verdicts on the same answers are remembered whichever comes first."""

    def __init__(self, judge: Judge, identity: Mapping[str, Any], outputs: Path) -> None:
        self._judge = judge
        self._identity = identity
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        self.path = outputs / FOLDER / f"{digest}.jsonl"
        self._verdicts = dict(self._read())

    def problems(self) -> list[str]:
        """What would keep the judge from judging."""
        return self._judge.problems()

    def compare(self, comparisons: Sequence[Comparison]) -> list[Verdict]:
        """One verdict per comparison; once nobody answers, the rest is `failed` without being asked. (N,)"""
        differ = {_key(item)[0]: item for item in comparisons if item.first != item.second}
        new = [item for key, item in differ.items() if key not in self._verdicts]
        for start in range(0, len(new), CHUNK):
            chunk = [item if _key(item)[1] else item.swapped() for item in new[start : start + CHUNK]]
            found = self._judge.compare(chunk)
            self._keep(chunk, found)
            if all(verdict.missing == "failed" for verdict in found):
                break
        return [self._known(item) for item in comparisons]

    def _known(self, item: Comparison) -> Verdict:
        if item.first == item.second:
            return Verdict(0.5)
        key, is_in_order = _key(item)
        found = self._verdicts.get(key, Verdict(None, "failed"))
        if is_in_order or found.value is None:
            return found
        return Verdict(1 - found.value, found.missing, found.shown_first)

    def _keep(self, items: Sequence[Comparison], verdicts: Sequence[Verdict]) -> None:
        """Add what was said; that somebody could not be asked is no verdict to keep."""
        said = {_key(item)[0]: v for item, v in zip(items, verdicts, strict=True) if v.missing != "failed"}
        self._verdicts.update(said)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [[key, verdict.value, verdict.missing, verdict.shown_first] for key, verdict in said.items()]
        head = [] if self.path.exists() else [self._identity]
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write("".join(f"{json.dumps(line)}\n" for line in [*head, *lines]))

    def _read(self) -> Iterator[tuple[str, Verdict]]:
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines()[1:]:
            try:
                key, value, missing, shown_first = json.loads(line)
            except ValueError:  # torn by a crash
                continue
            yield key, Verdict(value, missing, shown_first)


def _key(item: Comparison) -> tuple[str, bool]:
    """A name for the two answers in either order, and whether they stand in the one that is asked about."""
    asked = [turn.as_dict() for turn in item.prompt.messages]
    is_in_order = item.first <= item.second
    text = json.dumps([asked, *sorted([item.first, item.second])], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24], is_in_order
