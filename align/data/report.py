"""Report: what became of the rows of a dataset, counted source by source."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class SourceReport:
    """Rows of one source: `rows_in` = `kept` + what was dropped, by reason.

    `origin` is the file or the Hub name; `sha256` that of the file, `revision` the Hub's. `train` and
    `held_out` count rows after the split and the mixture, repeats included: their sum can exceed `kept`.
    """

    origin: str
    sha256: str | None = None
    revision: str | None = None
    card: str | None = None
    rows_in: int = 0
    kept: int = 0
    train: int = 0
    held_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    first_dropped: dict[str, str] = field(default_factory=dict)

    def drop(self, reason: str, place: str) -> None:
        """Count one dropped row; the place of the first of each reason is remembered."""
        self.dropped[reason] += 1
        self.first_dropped.setdefault(reason, place)

    def leave_out(self, reason: str, count: int) -> None:
        """Count rows as dropped that had been kept so far."""
        if count:
            self.dropped[reason] += count
            self.kept -= count

    def as_dict(self) -> dict[str, Any]:
        """For lineage and logs."""
        return {
            "origin": self.origin,
            "sha256": self.sha256,
            "revision": self.revision,
            "card": self.card,
            "rows_in": self.rows_in,
            "kept": self.kept,
            "dropped": dict(self.dropped),
            "first_dropped": dict(self.first_dropped),
            "train": self.train,
            "held_out": self.held_out,
        }


@dataclass
class Report:
    """The reports of all sources of a mixture, by source name."""

    sources: dict[str, SourceReport] = field(default_factory=dict)

    @property
    def rows_in(self) -> int:
        """Rows read, over all sources."""
        return sum(source.rows_in for source in self.sources.values())

    @property
    def kept(self) -> int:
        """Distinct rows that passed, over all sources."""
        return sum(source.kept for source in self.sources.values())

    @property
    def dropped(self) -> Counter[str]:
        """Rows dropped, by reason, over all sources."""
        return sum((source.dropped for source in self.sources.values()), Counter())

    def as_dict(self) -> dict[str, Any]:
        """For lineage and logs."""
        return {
            "rows_in": self.rows_in,
            "kept": self.kept,
            "dropped": dict(self.dropped),
            "sources": {name: source.as_dict() for name, source in self.sources.items()},
        }

    def lines(self) -> list[str]:
        """One line per source and per reason, for people."""
        told = []
        for name, source in self.sources.items():
            told.append(
                f"{name}: {source.rows_in} rows in, {source.kept} kept, {source.train} to train on, "
                f"{source.held_out} held out"
            )
            told += [
                f"{name}: dropped {count} ({reason})"
                + (f", the first at {source.first_dropped[reason]}" if reason in source.first_dropped else "")
                for reason, count in source.dropped.most_common()
            ]
        return told
