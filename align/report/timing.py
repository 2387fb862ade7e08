"""Timing: seconds of every stage and phase, tokens per second, what it ran on and what that cost."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import plotly.graph_objects as go

from align.config.resources import Hardware
from align.report.collect import EARLIER, Facts, StageFacts
from align.report.figures import Chart, Table, colour_of, encoded
from align.report.section import Section, charts, table
from align.report.words import duration, fixed, number

PHASE = "time/"
PHASES = ("#2b8cc4", "#d89000", "#0f9b76", "#dc6428", "#b872a4", "#8a78d0", "#7d8590", "#3aa6b9")


def time(facts: Facts) -> Iterator[Section]:
    """Where the time went."""
    drawn = []
    if any(stage.built_in for stage in facts.stages):
        drawn.append(_stages(facts))
    drawn += [_phases(stage) for stage in facts.of_kind("ppo") if _phase_seconds(stage)]
    if drawn:
        spent = sum(stage.seconds for stage in facts.stages)
        lead = f"This run spent {duration(spent)} on its stages." if spent else "All of it was built earlier."
        lead += " A stage that was found built (cached, or earlier) took its time in the run that built it."
        yield Section("time", "Time", lead, [charts(drawn)])


def cost(facts: Facts) -> Iterator[Section]:
    """Hardware, tokens per second, and money where a price is configured."""
    stages = [stage for stage in facts.stages if stage.lineage]
    if not stages:
        return
    rows, total = [], 0.0
    is_priced = any(_price(stage) is not None for stage in stages)
    for stage in stages:
        price = _price(stage)
        total += price or 0.0
        row = [
            stage.name, duration(stage.built_in), *_speed(stage),
            str((stage.lineage or {}).get("world_size", 1)), _machine(stage),
        ]  # fmt: skip
        rows.append((*row, fixed(price) if price is not None else "–") if is_priced else tuple(row))
    headers = ("stage", "seconds", "tokens", "tokens / s", "processes", "hardware")
    lead = f"Building all of it took {duration(sum(stage.built_in for stage in stages))}"
    lead += f" and cost {fixed(total)} at the configured price." if is_priced else "."
    if not is_priced:
        lead += " No price is configured (hardware.price_per_device_hour)."
    found = Table((*headers, "cost") if is_priced else headers, tuple(rows))
    note = (
        "Tokens per second: of training between the first and the last logged step; for PPO, of generation."
    )
    yield Section("cost", "Hardware and cost", lead, [table(found, note=note)])


def tokens_per_second(stage: StageFacts) -> float | None:
    """Of training, from what was logged; of generation in PPO; None where it was not logged."""
    if speeds := stage.series("rollout/tokens_per_second")[1]:
        return sum(speeds) / len(speeds)
    rows = [row for row in stage.metrics if row.get("trainer/num_tokens")]
    if len(rows) < 2 or rows[-1]["time"] <= rows[0]["time"]:
        return None
    tokens = rows[-1]["trainer/num_tokens"] - rows[0]["trainer/num_tokens"]
    return float(tokens / (rows[-1]["time"] - rows[0]["time"]))


def _speed(stage: StageFacts) -> tuple[str, str]:
    tokens = stage.series("trainer/num_tokens")[1]
    speed = tokens_per_second(stage)
    return number(tokens[-1]) if tokens else "–", number(round(speed)) if speed else "–"


def _machine(stage: StageFacts) -> str:
    hardware: dict[str, Any] = (stage.lineage or {}).get("hardware", {})
    parts = [
        str(hardware.get("name", "")),
        str(hardware.get("processor") or ""),
        f"{hardware.get('cores')} cores",
    ]
    return " · ".join(part for part in parts if part)


def _price(stage: StageFacts) -> float | None:
    given = (stage.lineage or {}).get("hardware", {})
    known = {item.name: given[item.name] for item in fields(Hardware) if item.name in given}
    return Hardware(**known).price(stage.built_in)


def _stages(facts: Facts) -> Chart:
    stages = list(reversed(facts.stages))
    figure = go.Figure()
    for name, is_here in (("in this run", True), ("before", False)):
        seconds = [
            stage.built_in if (stage.status not in ("cached", EARLIER)) == is_here else 0 for stage in stages
        ]
        figure.add_trace(
            go.Bar(
                y=[stage.name for stage in stages],
                x=seconds,
                name=name,
                orientation="h",
                marker={
                    "color": [colour_of(stage.kind) for stage in stages],
                    "pattern": {"shape": "" if is_here else "/"},
                },
                text=[duration(value) if value else "" for value in seconds],
                textposition="auto",
                hovertemplate="%{y}: %{x:.1f} s",
            )
        )
    figure.update_layout(barmode="stack", showlegend=False)
    figure.update_xaxes(title_text="seconds")
    rows = tuple((stage.name, stage.status, fixed(stage.built_in, 1)) for stage in facts.stages)
    note = "Hatched: built before this run." if any(s.status in ("cached", EARLIER) for s in stages) else ""
    return Chart(
        "time-stages", "Stages", encoded(figure), Table(("stage", "status", "seconds"), rows), note,
        110 + 36 * len(stages),
    )  # fmt: skip


def _phase_seconds(stage: StageFacts) -> dict[str, float]:
    """Phase -> seconds over all updates."""
    found: dict[str, float] = {}
    for row in stage.metrics:
        for name, value in row.items():
            if name.startswith(PHASE) and value is not None:
                phase = name.removeprefix(PHASE)
                found[phase] = found.get(phase, 0.0) + value
    return found


def _phases(stage: StageFacts) -> Chart:
    seconds = dict(sorted(_phase_seconds(stage).items(), key=lambda item: item[1]))
    total, updates = sum(seconds.values()), len(stage.series("objective/score")[0])
    figure = go.Figure(
        go.Bar(
            y=[*seconds],
            x=[*seconds.values()],
            orientation="h",
            marker={"color": PHASES[: len(seconds)]},
            text=[f"{100 * value / total:.0f} %" if total else "" for value in seconds.values()],
            textposition="auto",
            hovertemplate="%{y}: %{x:.2f} s",
        )
    )
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title_text=f"seconds over {updates} updates")
    rows = tuple(
        (name, fixed(value, 2), fixed(value / max(updates, 1), 3))
        for name, value in reversed(seconds.items())
    )
    return Chart(
        f"time-phases-{stage.name}", f"Phases of {stage.name}", encoded(figure),
        Table(("phase", "seconds", "per update"), rows), "", 110 + 36 * len(seconds),
    )  # fmt: skip
