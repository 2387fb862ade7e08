"""Dots: rows with intervals -> one chart, what was measured down, who was measured as dots side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from align.report.figures import SYMBOLS, Chart, Table, colour_of, encoded, share_axis
from align.report.words import TOO_FEW, interval, number


def dot_chart(
    chart_id: str,
    title: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    axis: str,
    is_share: bool = False,
    of: str = "suite",
    counted: str = "prompts",
    note: str = "",
) -> Chart:
    """Draw rows that have `suite`, `checkpoint`, `value`, `low`, `high` and `n`.

    Args:
        chart_id: unique on the page.
        title: above the chart.
        rows: what to draw; too few prompts have no interval.
        axis: what the values are.
        is_share: whether they are shares, and stand in percent.
        of: what `suite` is, for the table.
        counted: what `n` counts.
        note: below the chart.
    """
    names, asked = (list(dict.fromkeys(row[key] for row in rows)) for key in ("checkpoint", "suite"))
    figure = go.Figure()
    for place, name in enumerate(names):
        own = [row for row in rows if row["checkpoint"] == name]
        heights = [len(asked) - 1 - asked.index(row["suite"]) - _offset(place, len(names)) for row in own]
        trace = _trace(own, heights, is_share)
        trace.update(name=name, marker=_marker(name, names))
        figure.add_trace(trace)
    figure.update_layout(showlegend=True, hovermode="closest")
    figure.update_xaxes(title_text=axis)
    if is_share:
        ends = ("value", "low", "high") if any(row["n"] >= TOO_FEW for row in rows) else ("value",)
        figure.update_xaxes(share_axis(row[end] for row in rows for end in ends))
    figure.update_yaxes(
        tickvals=list(range(len(asked))), ticktext=asked[::-1], range=[-0.6, len(asked) - 0.4]
    )
    lines = tuple(
        (row["suite"], row["checkpoint"], interval(row, is_share=is_share), number(row["n"])) for row in rows
    )
    height = 110 + (17 * len(names) + 14) * len(asked)
    table = Table((of, "checkpoint", f"{axis} [95 %]", counted), lines)
    return Chart(chart_id, title, encoded(figure), table, note, height)


def _trace(rows: Sequence[Mapping[str, Any]], heights: Sequence[float], is_share: bool) -> go.Scatter:
    return go.Scatter(
        x=[row["value"] for row in rows],
        y=list(heights),
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [_reach(row, "high") for row in rows],
            "arrayminus": [_reach(row, "low") for row in rows],
            "thickness": 1.5,
            "width": 3,
        },
        customdata=[interval(row, is_share=is_share) for row in rows],
        hovertemplate="%{customdata}",
        mode="markers",
    )


def _marker(name: str, names: Sequence[str]) -> dict[str, Any]:
    symbol = SYMBOLS[names.index(name) % len(SYMBOLS)]
    return {"color": colour_of(name, names), "symbol": symbol, "size": 9}


def _offset(place: int, count: int) -> float:
    """How far below its line a dot stands, so that all of them are seen."""
    return 0.7 * ((place + 0.5) / count - 0.5)


def _reach(row: Mapping[str, Any], bound: str) -> float:
    """Length of an error bar; none where prompts are too few for an interval."""
    return abs(row[bound] - row["value"]) if row["low"] is not None and row["n"] >= TOO_FEW else 0.0
