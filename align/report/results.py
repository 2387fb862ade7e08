"""Results: what the evaluation measured -> scores by suite."""

from collections.abc import Iterator, Sequence
from typing import Any

from align.evaluation.rows import ENDED, LENGTH, win_rate_parts
from align.report.collect import Facts, StageFacts
from align.report.dots import dot_chart
from align.report.figures import Chart, Table
from align.report.measured import Row, share_metrics, suite_rows
from align.report.section import Block, Section, charts, folded, table
from align.report.words import interval, number, share


def suites(facts: Facts) -> Iterator[Section]:
    """Scores with their intervals, a table per suite; groups of a suite open on demand."""
    rows, shares = suite_rows(facts), share_metrics(facts)
    if not rows:
        return
    whole = [row for row in rows if "/" not in row["suite"]]
    blocks: list[Block] = []
    drawn = list(_dots(whole, shares))
    blocks += [charts([chart]) for chart, is_wide in drawn if is_wide]
    if small := [chart for chart, is_wide in drawn if not is_wide]:
        blocks.append(charts(small))
    for suite in dict.fromkeys(row["suite"] for row in whole):
        own = [row for row in whole if row["suite"] == suite]
        note = f"{max(row['n'] for row in own):,} prompts{_digest(facts, suite)}"
        blocks.append(table(_suite_table(own, shares), suite, note))
    for group in dict.fromkeys(row["suite"] for row in rows if "/" in row["suite"]):
        blocks.append(folded(_suite_table([row for row in rows if row["suite"] == group], shares), group))
    lead = f"Means with 95 % intervals over prompts.{_decoding(facts)}"
    yield Section("suites", "Results by suite", lead, blocks)


def _evaluation(stage: StageFacts) -> dict[str, Any]:
    return stage.evaluation or {}


def _digest(facts: Facts, suite: str) -> str:
    for stage in facts.evaluations:
        asked = _evaluation(stage).get("suites", {}).get(suite, {})
        if digest := asked.get("digest"):
            return f" · prompts {str(digest)[:12]}"
    return ""


def _decoding(facts: Facts) -> str:
    told = dict.fromkeys(words for stage in facts.evaluations if (words := decoding_of(stage)))
    return f" Decoding: {'; '.join(told)}." if told else ""


def decoding_of(stage: StageFacts) -> str:
    """How an evaluation had its checkpoints answer; nothing where it asked none."""
    found = _evaluation(stage)
    if not found.get("suites"):
        return ""
    return ", ".join(f"{name} {value}" for name, value in (found.get("decoding") or {}).items())


def _suite_table(rows: Sequence[Row], shares: set[str]) -> Table:
    """A line per checkpoint, a column per metric; win rates have a section of their own."""
    plain = [row for row in rows if not win_rate_parts(row["metric"])]
    metrics = dict.fromkeys(row["metric"] for row in plain)
    lines = []
    for checkpoint in dict.fromkeys(row["checkpoint"] for row in plain):
        own = {row["metric"]: row for row in plain if row["checkpoint"] == checkpoint}
        lines.append((checkpoint, *(_cell(own.get(metric), metric, shares) for metric in metrics)))
    names = {ENDED: "ended", LENGTH: "tokens"}
    return Table(("checkpoint", *(names.get(metric, metric) for metric in metrics)), tuple(lines))


def _cell(row: Row | None, metric: str, shares: set[str]) -> str:
    if row is None:
        return ""
    if metric in (LENGTH, ENDED):  # nothing is decided by them
        return share(row["value"]) if metric == ENDED else number(row["value"])
    return interval(row, is_share=metric in shares)


def _dots(rows: Sequence[Row], shares: set[str]) -> Iterator[tuple[Chart, bool]]:
    """One chart per metric, and whether several suites have it: these down, checkpoints as dots."""
    plain = [
        row for row in rows if not win_rate_parts(row["metric"]) and row["metric"] not in (LENGTH, ENDED)
    ]
    for metric in dict.fromkeys(row["metric"] for row in plain):
        own = [row for row in plain if row["metric"] == metric]
        chart = dot_chart(f"score-{metric}", metric, own, axis=metric, is_share=metric in shares)
        yield chart, len({row["suite"] for row in own}) > 1
