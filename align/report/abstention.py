"""Abstention: risk-coverage curves -> how often answers are wrong if only the surest ones are given.

Source  El-Yaniv & Wiener 2010, JMLR 11; area: Geifman et al. 2019, arXiv:1805.08206
"""

from collections.abc import Iterator, Sequence
from typing import Any

from align.report.collect import Facts
from align.report.figures import DASHES, Chart, Series, Table, colour_of, line_chart
from align.report.measured import label
from align.report.section import Section, charts, table
from align.report.words import number, share

KIND = "risk_coverage"
Curve = tuple[str, dict[str, Any]]  # who, and a curve as evaluation.json has it


def risk_coverage(facts: Facts) -> Iterator[Section]:
    """A chart per suite whose metric tells wrong answers, a curve per checkpoint."""
    found = _by_suite(facts)
    if found:
        lead = (
            "Share of wrong answers (risk) among those that a model was surest of (coverage). A curve that "
            "rises from the left knows what it does not know: silence on unsure answers would help. "
            "Abstentions are not covered."
        )
        drawn = [charts([_chart(suite, own)]) for suite, own in found.items()]
        yield Section("risk-coverage", "Risk and coverage", lead, [*drawn, table(_areas(found))])


def _by_suite(facts: Facts) -> dict[str, list[Curve]]:
    found: dict[str, list[Curve]] = {}
    for stage in facts.evaluations:
        for curve in (stage.evaluation or {}).get("curves", ()):
            if curve["kind"] == KIND:
                own = found.setdefault(curve["suite"], [])
                name = curve["checkpoint"]
                is_new = name not in (known for known, _ in own)
                own.append((name if is_new else f"{name} ({label(facts, stage)})", curve))
    return found


def _chart(suite: str, curves: Sequence[Curve]) -> Chart:
    names = [name for name, _ in curves]
    series = [
        Series(
            name,
            [coverage for coverage, _ in curve["points"]],
            [risk for _, risk in curve["points"]],
            colour_of(name, names),
            dash=DASHES[place % len(DASHES)],
            mode="lines" if len(curve["points"]) > 1 else "markers",
        )
        for place, (name, curve) in enumerate(curves)
    ]
    return line_chart(
        f"risk-coverage-{suite}", suite, series, x="coverage: share of its answers that are given",
        y="risk: share of these that is wrong", height=340, shares="xy",
    )  # fmt: skip


def _areas(found: dict[str, list[Curve]]) -> Table:
    """The mean risk over all coverages, and the risk when everything is answered."""
    rows = tuple(
        (
            suite, name, share(curve["area"]), share(curve["points"][-1][1]), number(curve["answered"]),
        )
        for suite, curves in found.items()
        for name, curve in curves
    )  # fmt: skip
    return Table(("suite", "checkpoint", "mean risk (area)", "risk at full coverage", "answers"), rows)
