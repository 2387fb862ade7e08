"""Figures: series of numbers -> plotly figures with the table that says the same, downsampled to what shows.

Colours are those of Okabe & Ito, told apart by colour-blind readers, in tones that hold on white and on dark.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from align.report.words import number, share

MOST_POINTS = 300  # of one curve: more than a screen shows
MOST_ROWS = 40  # of the table behind a curve
LEAST_SHARES = 0.2  # that an axis spans: less makes nothing look like something
PERCENT = ".0~%"  # of d3, as plotly's axes have it
NUMBER = re.compile(r"$|–|[−]?\d[\d,.]*(e[−+]\d+)?( |$)")  # or nothing, or a dash for it

COLOURS = {
    "base": "#7d8590", "pretrain": "#7d8590", "sft": "#2b8cc4", "reward": "#d89000", "dpo": "#0f9b76",
    "ppo": "#dc6428", "best_of_4": "#b872a4",
}  # fmt: skip
MORE_COLOURS = ("#8a78d0", "#3aa6b9", "#b58b00", "#c2577b", "#5a9b3c", "#7d8590")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class Table:
    """Rows of text."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def is_number(self) -> list[bool]:
        """Per column, whether it holds numbers, which stand on the right."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.headers)
        return [all(NUMBER.match(cell) for cell in column) for column in columns]


@dataclass(frozen=True)
class Chart:
    """A figure, what it is called, what to know about it, and the numbers behind it."""

    id: str
    title: str
    figure: str
    table: Table
    note: str = ""
    height: int = 260


@dataclass(frozen=True)
class Series:
    """One curve. `low` and `high` are a band around it."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str | None = None
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    dash: str = "solid"
    mode: str = "lines"
    symbol: str = "circle"
    size: int = 6
    is_named: bool = True


def colour_of(name: str, names: Sequence[str] = ()) -> str:
    """The colour of a stage or checkpoint, the same wherever it appears."""
    if name in COLOURS:
        return COLOURS[name]
    unknown = [other for other in names if other not in COLOURS]
    place = unknown.index(name) if name in unknown else 0
    return MORE_COLOURS[place % len(MORE_COLOURS)]


def thinned(count: int, most: int) -> list[int]:
    """At most `most` of `count` places, evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


def share_axis(values: Iterable[float | None]) -> dict[str, Any]:
    """How an axis of shares is drawn: in percent, with room around the values, none where no share lies."""
    known = [value for value in values if value is not None]
    least, most = min(known, default=0.0), max(known, default=1.0)
    room = max(0.08 * (most - least), (LEAST_SHARES - (most - least)) / 2)
    low = max(least - room, min(0.0, least))
    high = min(max(most + room, low + LEAST_SHARES), max(1.0, most))
    low = max(min(low, high - LEAST_SHARES), min(0.0, least))
    edge = 0.02 * (high - low)  # so that a dot at the end is seen whole
    return {"tickformat": PERCENT, "tickangle": 0, "nticks": 6, "range": (low - edge, high + edge)}


def line_chart(
    chart_id: str,
    title: str,
    series: Sequence[Series],
    *,
    x: str,
    y: str = "",
    note: str = "",
    height: int = 260,
    shares: str = "",
) -> Chart:
    """Curves over a common axis; the legend is left out where there is one curve only.

    `shares` names the axes whose values are shares, and stand in percent: "y" or "xy".
    """
    figure = go.Figure()
    for item in series:
        kept = thinned(len(item.x), MOST_POINTS)
        colour = item.colour or MORE_COLOURS[0]
        if item.low is not None and item.high is not None:
            figure.add_trace(_band(item, kept, colour))
        figure.add_trace(
            go.Scatter(
                x=[item.x[place] for place in kept],
                y=[item.y[place] for place in kept],
                name=item.name,
                mode=item.mode,
                line={"color": colour, "width": 2, "dash": item.dash},
                marker={"color": colour, "size": item.size, "opacity": 0.8, "symbol": item.symbol},
                showlegend=item.is_named,
                hovertemplate="%{y:.1%}" if "y" in shares else "%{y:.4g}",
            )
        )
    figure.update_layout(showlegend=sum(item.is_named for item in series) > 1, hovermode="x unified")
    figure.update_xaxes(title_text=x)
    figure.update_yaxes(title_text=y, exponentformat="e")
    if "x" in shares:
        figure.update_xaxes(share_axis(value for item in series for value in item.x))
    if "y" in shares:
        figure.update_yaxes(share_axis(_heights(series)))
    longest = max(len(item.x) for item in series)
    told = f"{note} {MOST_POINTS} of {longest:,} points are drawn." if longest > MOST_POINTS else note
    return Chart(chart_id, title, encoded(figure), _line_table(series, x, shares), told.strip(), height)


def _heights(series: Sequence[Series]) -> Iterator[float]:
    for item in series:
        yield from (*item.y, *(item.low or ()), *(item.high or ()))


def encoded(figure: go.Figure) -> str:
    """The figure as JSON, without plotly's own template: the page brings the theme, light or dark."""
    figure.update_layout(template=None)
    shown: dict[str, Any] = json.loads(figure.to_json())
    shown["layout"].pop("template", None)
    return json.dumps(shown)


def _band(item: Series, kept: Sequence[int], colour: str) -> go.Scatter:
    assert item.low is not None and item.high is not None
    there = [item.x[place] for place in kept]
    return go.Scatter(
        x=[*there, *reversed(there)],
        y=[*(item.high[place] for place in kept), *(item.low[place] for place in reversed(kept))],
        fill="toself",
        fillcolor=_faint(colour),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        mode="lines",
    )


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def _line_table(series: Sequence[Series], x: str, shares: str) -> Table:
    """Every curve at (some of) the places of all of them."""
    across, up = (share if axis in shares else number for axis in "xy")
    places = sorted({value for item in series for value in item.x})
    kept = [places[index] for index in thinned(len(places), MOST_ROWS)]
    columns = [dict(zip(item.x, item.y, strict=True)) for item in series]
    rows = (
        (across(place), *(up(column[place]) if place in column else "" for column in columns))
        for place in kept
    )
    return Table((x, *(item.name for item in series)), tuple(rows))
