"""Overview: the few lines a hurried reader needs: did it work, did each stage help, what to worry about."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from align.report.collect import Facts
from align.report.figures import Table
from align.report.measured import comparisons, parts
from align.report.section import Block, Section, table
from align.report.words import duration, interval, is_decided, share

UNFINISHED = ("failed", "stopped")


@dataclass(frozen=True)
class Tile:
    """One figure at the top. `tone` is good, bad or open."""

    label: str
    value: str
    detail: str
    tone: str = "open"


def failure(facts: Facts) -> Iterator[Section]:
    """Why the run did not come to its end, before anything else is said."""
    if not facts.error:
        return
    ended = next((stage for stage in reversed(facts.stages) if stage.status in UNFINISHED), None)
    title = "This run did not finish"
    if ended is not None:
        title = f"This run {ended.status} at {ended.name}"
    lead = "What is told below is what was built and measured until then."
    yield Section("failure", title, lead, [Block("failure", facts.error)])


def overview(facts: Facts) -> Iterator[Section]:
    """Tiles: a win rate per comparison, then time and machine."""
    tiles = [_win_tile(row) for row in comparisons(facts)]
    if facts.stages:
        tiles.append(_time_tile(facts))
    if tiles:
        yield Section("overview", "At a glance", _judged(facts), [Block("tiles", tiles)])


def alarms(facts: Facts) -> Iterator[Section]:
    """What stages warned of, and what could not be read."""
    rows = tuple((alarm.stage, alarm.when, alarm.text) for alarm in facts.alarms)
    rows += tuple(("report", "–", note) for note in facts.notes)
    if rows:
        lead = "What the stages noticed about themselves, every warning once."
        found = Table(("stage", "when", "alarm"), rows)
        yield Section("alarms", f"Alarms ({len(rows)})", lead, [table(found)])


def _win_tile(row: Mapping[str, Any]) -> Tile:
    tone = "open" if not is_decided(row) else "good" if row["value"] > 0.5 else "bad"
    words = {"good": "wins", "bad": "loses", "open": "no clear winner"}[tone]
    detail = f"{interval(row, is_share=True).removeprefix(share(row['value'])).strip()} {words}"
    return Tile(f"{row['checkpoint']} over {parts(row)[1]}", share(row["value"]), detail.strip(), tone)


def _judged(facts: Facts) -> str:
    rows = comparisons(facts)
    if not rows:
        return ""
    return (
        f"Share of {rows[0]['n']:,} {rows[0]['suite']} prompts on which the answer is better than that of "
        f"the earlier stage, by the {parts(rows[0])[0]} score, ties half; 95 % intervals in brackets."
    )


def _time_tile(facts: Facts) -> Tile:
    spent = sum(stage.seconds for stage in facts.stages)
    built = sum(stage.built_in for stage in facts.stages)
    last = next((stage.lineage for stage in reversed(facts.stages) if stage.lineage), None) or {}
    machine = last.get("hardware", {}).get("name", "")
    return Tile(
        "time", duration(built), f"to build it all, {duration(spent)} in this run; {machine}".rstrip("; ")
    )
