"""Gates: what a stage had to find measured before it could start, and what was."""

from collections.abc import Iterator, Mapping
from typing import Any

from align.report.collect import Facts
from align.report.figures import Table
from align.report.section import Section, table
from align.report.words import number


def gates(facts: Facts) -> Iterator[Section]:
    """A line per gate that the run came to."""
    rows = tuple(
        (stage, name, str(gate["of"]), str(gate["metric"]), number(gate["minimum"]), number(gate["value"]),
         _outcome(facts, stage, gate))
        for stage, found in facts.gates.items()
        for name, gate in found.items()
    )  # fmt: skip
    if rows:
        lead = "What had to be measured before a stage could start."
        headers = ("stage", "gate", "measured by", "metric", "at least", "measured", "outcome")
        yield Section("gates", "Gates", lead, [table(Table(headers, rows))])


def _outcome(facts: Facts, stage: str, gate: Mapping[str, Any]) -> str:
    if gate["value"] is not None and gate["value"] >= gate["minimum"]:
        return "passed"
    told = "not measured" if gate["value"] is None else "below"
    is_built = any(item.name == stage and item.lineage for item in facts.stages)
    return f"{told}: {stage} {'was built before' if is_built else 'did not start'}"
