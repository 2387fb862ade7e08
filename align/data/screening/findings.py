"""Findings: what is wrong with rows, as reason, count, first places, remedy, and what was done about it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Done = Literal["error", "drop", "keep", "escape"]
PLACES = 5  # that are remembered of every finding
TOLD = {"error": "refused", "drop": "dropped", "keep": "kept", "escape": "escaped"}


@dataclass
class Finding:
    """Rows of one source that have the same thing wrong with them.

    `done` is what became of them: an error stops the run, other findings are warnings. `message` is what is
    said of the first row. `places` are `file:line` of the first few; without any, the source is meant.
    """

    source: str
    reason: str
    done: Done
    message: str
    remedy: str = ""
    count: int = 0
    places: list[str] = field(default_factory=list)

    def note(self, place: str) -> None:
        """One more row."""
        self.count += 1
        if len(self.places) < PLACES:
            self.places.append(place)

    def error(self) -> str:
        """The finding as a refusal: the first row with its place, the others counted, the remedy."""
        others = f" ({self.count} such rows, also at {self._others()})" if self.count > 1 else ""
        return f"{self.places[0]}: {self.message}{others}{_sentence(self.remedy)}"

    def warning(self) -> str:
        """The finding as a line for people."""
        told = (
            f"{self.count} {TOLD[self.done]}: {self.reason}, at {self.where()}" if self.count else self.reason
        )
        return f"{told}{_sentence(self.remedy)}"

    def where(self) -> str:
        """The first places."""
        return self.places[0] + (f", {self._others()}" if self.count > 1 else "")

    def as_dict(self) -> dict[str, Any]:
        """For data.json, below its source."""
        return {
            "reason": self.reason,
            "done": self.done,
            "count": self.count,
            "places": list(self.places),
            "message": self.message,
            "remedy": self.remedy,
        }

    def _others(self) -> str:
        """The places but the first; of `file:line` the line, as the file was told with the first."""
        lines = [place.rpartition(":")[2].removeprefix("row ") for place in self.places[1:]]
        return ", ".join([*lines, *(["…"] if self.count > len(self.places) else [])])


class Findings:
    """The findings of a dataset, in the order in which they were met."""

    def __init__(self, found: Iterable[Finding] = ()) -> None:
        self._found = {(item.source, item.reason, item.done): item for item in found}

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found.values())

    def note(
        self, source: str, reason: str, done: Done, place: str, message: str = "", remedy: str = ""
    ) -> None:
        """Count a row; the message and the remedy are those of the first."""
        key = (source, reason, done)
        if key not in self._found:
            self._found[key] = Finding(source, reason, done, message or reason, remedy)
        self._found[key].note(place)

    def add(self, other: Finding) -> None:
        """Count what another part of the same dataset has found."""
        mine = self._found.setdefault(
            (other.source, other.reason, other.done), replace(other, count=0, places=[])
        )
        mine.count += other.count
        mine.places += other.places[: PLACES - len(mine.places)]

    @property
    def errors(self) -> list[Finding]:
        """Those that stop the run."""
        return [item for item in self if item.done == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """Those that do not."""
        return [item for item in self if item.done != "error"]

    def dropped(self) -> Counter[str]:
        """Rows that were dropped, by reason."""
        return Counter({item.reason: item.count for item in self if item.done == "drop"})


def findings_table(found: Sequence[tuple[str, Finding]]) -> list[str]:
    """Aligned lines of (field, finding): where, rows, what became of them, why; below it the remedy."""
    if not found:
        return []
    rows = [
        (
            f"{place} {finding.source}".rstrip(),
            str(finding.count or ""),
            TOLD[finding.done] if finding.count else "warning",
            f"{finding.reason}, at {finding.where()}" if finding.count else finding.reason,
        )
        for place, finding in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for (place, count, told, text), (_, finding) in zip(rows, found, strict=True):
        lines.append(f"{place:{widths[0]}}  {count:>{widths[1]}}  {told:{widths[2]}}  {text}")
        if finding.remedy:
            lines.append(f"{'':{sum(widths) + 6}}{finding.remedy}")
    return lines


def _sentence(text: str) -> str:
    return f". {text[0].upper()}{text[1:]}" if text else ""
