"""Report: what became of the rows of a dataset, counted source by source."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from align.data.screening.findings import Done, Finding, Findings
from align.data.standing import Standing, warning


@dataclass
class SourceReport:
    """Rows of one source: `rows_in` = `kept` + what was dropped or refused, by reason.

    `read` counts rows of the file and `rows_in` what its format made of them, which is the same unless the
    format makes several rows of one, or compares answers: a row of the file that makes nothing counts once.
    `origin` is the file or the Hub name; `sha256` that of the file, `revision` the Hub's. `composed`
    counts rows with text that was not in NFC and is now. `train` and `held_out` count rows after the split
    and the mixture, repeats included: their sum can exceed `kept`.
    """

    origin: str
    sha256: str | None = None
    revision: str | None = None
    card: str | None = None
    standing: Standing = Standing("no card")
    name: str = ""
    read: int = 0
    rows_in: int = 0
    composed: int = 0
    kept: int = 0
    train: int = 0
    held_out: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    findings: Findings = field(default_factory=Findings)

    def note(self, reason: str, done: Done, place: str, message: str = "", remedy: str = "") -> None:
        """Count one row that something is wrong with; the places of the first few are remembered."""
        self.findings.note(self.name, reason, done, place, message, remedy)

    def leave_out(self, reason: str, count: int) -> None:
        """Count rows as dropped that had been kept so far, with nothing wrong with them."""
        if count:
            self.left_out[reason] += count
            self.kept -= count

    @property
    def dropped(self) -> Counter[str]:
        """Rows dropped, by reason."""
        return self.findings.dropped() + self.left_out

    def as_dict(self) -> dict[str, Any]:
        """For lineage and logs."""
        return {
            "origin": self.origin,
            "sha256": self.sha256,
            "revision": self.revision,
            "card": self.card,
            "card_check": self.standing.verdict,
            "card_problems": list(self.standing.problems),
            "read": self.read,
            "rows_in": self.rows_in,
            "composed": self.composed,
            "kept": self.kept,
            "dropped": dict(self.dropped),
            "findings": [finding.as_dict() for finding in self.findings],
            "train": self.train,
            "held_out": self.held_out,
        }

    @classmethod
    def from_dict(cls, name: str, values: Mapping[str, Any], standing: Standing) -> "SourceReport":
        """What `as_dict` gave, before rows were left out that nothing is wrong with, but for the card's."""
        others = ("dropped", "findings", "card_check", "card_problems")
        plain = {key: value for key, value in values.items() if key not in others}
        found = cls(name=name, standing=standing, **plain)
        found.findings = Findings(Finding(source=name, **item) for item in values["findings"])
        return found


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

    @property
    def findings(self) -> list[Finding]:
        """What is wrong with rows, source by source."""
        return [finding for source in self.sources.values() for finding in source.findings]

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that the cards of all sources name."""
        return tuple(sorted({tag for source in self.sources.values() for tag in source.standing.languages}))

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
            caution = warning(name, source.card, source.standing.verdict, source.standing.problems)
            told += [] if caution is None else [caution]
            made = f" made of {source.read}" if source.read != source.rows_in else ""
            told.append(
                f"{name}: {source.rows_in} rows in{made}, {source.kept} kept, {source.train} to train on, "
                f"{source.held_out} held out"
            )
            if source.composed:
                told.append(f"{name}: {source.composed} rows brought to NFC")
            told += [f"{name}: {finding.warning()}" for finding in source.findings.warnings]
            told += [f"{name}: {count} dropped: {reason}" for reason, count in source.left_out.items()]
        return told
