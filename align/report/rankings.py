"""Rankings: who beats whom -> a matrix per judge and suite, strengths with intervals, and what to distrust.

Reads   leaderboards.json of an evaluation (docs/evaluation.md); without it, the win rates of evaluation.json
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from align.evaluation.rows import win_rate_parts
from align.report.collect import Facts
from align.report.figures import Chart, Table, colour_of, encoded
from align.report.measured import label, rows_of
from align.report.section import Section, charts, table
from align.report.words import TOO_FEW, fixed, interval, is_decided, number, share

Board = Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """How often one checkpoint's answers beat another's; `winner` is None where it is not clear."""

    checkpoint: str
    baseline: str
    rate: Mapping[str, Any]
    winner: str | None
    equal_length: Mapping[str, Any] | None = None


def win_rates(facts: Facts) -> Iterator[Section]:
    """A matrix per judge and suite."""
    drawn = [
        _matrix(f"{suite}, judged by {judge}", pairs, place)
        for place, ((judge, suite), pairs) in enumerate(_pairs(facts).items())
    ]
    if drawn:
        lead = (
            "Share of prompts on which the row's answer is better than the column's, ties half. Rates in "
            "brackets leave open who is better: nobody is called the winner."
        )
        yield Section("win-rates", "Win rates", lead, [charts(drawn)])


def leaderboard(facts: Facts) -> Iterator[Section]:
    """Bradley-Terry strengths of all checkpoints, by judge and suite."""
    boards = _boards(facts)
    drawn, blocks = [], []
    for place, board in enumerate(boards):
        title = f"{board['suite']}, judged by {board['judge']}"
        if board.get("problem"):
            blocks.append(table(_standing(board), title, board["problem"]))
            continue
        drawn.append(_strengths(title, board, place))
    if drawn:
        blocks.insert(0, charts(drawn))
    if flags := [flag for found in _files(facts) for flag in found.get("flags", ())]:
        rows = tuple((flag["suite"], flag["checkpoint"], flag["kind"], share(flag["share"]), flag["message"])
                     for flag in flags)  # fmt: skip
        blocks.append(table(Table(("suite", "checkpoint", "answers are", "share", "why"), rows), "Flagged"))
    if blocks:
        lead = (
            "Strength is the log-odds of winning against the average checkpoint (Bradley-Terry) with a 95 % "
            "interval; checkpoints share a rank where neither is surely stronger."
        )
        yield Section("leaderboard", "Leaderboard", lead, blocks)


def _files(facts: Facts) -> list[dict[str, Any]]:
    return [stage.leaderboards for stage in facts.evaluations if stage.leaderboards]


def _boards(facts: Facts) -> list[Board]:
    """Those of all evaluations; where two judged the same suite, the later one is named beside it."""
    known: set[tuple[str, str]] = set()
    boards: list[Board] = []
    for stage in facts.evaluations:
        for board in (stage.leaderboards or {}).get("leaderboards", ()):
            place = board["judge"], board["suite"]
            is_new = place not in known
            known.add(place)
            named = board["suite"] if is_new else f"{board['suite']} ({label(facts, stage)})"
            boards.append({**board, "suite": named})
    return boards


def _pairs(facts: Facts) -> dict[tuple[str, str], list[Pair]]:
    """(judge, suite) -> what was compared."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for board in _boards(facts):
        found[board["judge"], board["suite"]] = [
            Pair(item["checkpoint"], item["baseline"], item["win_rate"], item["winner"], item["equal_length"])
            for item in board["pairs"]
            if item["win_rate"]["value"] is not None
        ]
    for row in rows_of(facts):
        parts = win_rate_parts(row["metric"])
        if parts and "/" not in row["suite"] and not _boards(facts):
            judge, baseline = parts
            ahead = row["checkpoint"] if row["value"] > 0.5 else baseline
            pair = Pair(row["checkpoint"], baseline, row, ahead if is_decided(row) else None)
            found.setdefault((judge, row["suite"]), []).append(pair)
    return {key: pairs for key, pairs in found.items() if pairs}


def _matrix(title: str, pairs: Sequence[Pair], place: int) -> Chart:
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.baseline, pair.checkpoint)))
    cells: dict[tuple[str, str], tuple[float, bool]] = {}
    for pair in pairs:
        value, is_clear = pair.rate["value"], pair.winner is not None
        cells[pair.checkpoint, pair.baseline] = value, is_clear
        cells.setdefault((pair.baseline, pair.checkpoint), (1 - value, is_clear))
    values = [[_percent(cells.get((up, across))) for across in names] for up in names]
    texts = [[_label(cells.get((up, across))) for across in names] for up in names]
    figure = go.Figure(
        go.Heatmap(
            x=names, y=names, z=values, text=texts, texttemplate="%{text}", zmin=0, zmax=100, showscale=False,
            colorscale=[[0, "#d98a55"], [0.5, "#f4f4f2"], [1, "#5aa2cf"]], xgap=3, ygap=3,
            textfont={"color": "#15181c", "size": 12}, hoverongaps=False,
            hovertemplate="%{y} over %{x}: %{text}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(title_text="over", side="bottom", showgrid=False, type="category")
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return Chart(f"matrix-{place}", title, encoded(figure), _pair_table(pairs), "", 110 + 44 * len(names))


def _pair_table(pairs: Sequence[Pair]) -> Table:
    headers = ("checkpoint", "over", "win rate [95 %]", "winner", "prompts")
    lengths = any(pair.equal_length for pair in pairs)
    rows = []
    for pair in pairs:
        few = "too few prompts" if pair.rate["n"] < TOO_FEW else "no clear winner"
        row = (
            pair.checkpoint, pair.baseline, interval(pair.rate, is_share=True), pair.winner or few,
            number(pair.rate["n"]),
        )  # fmt: skip
        even = interval(pair.equal_length, is_share=True) if pair.equal_length else "–"
        rows.append((*row, even) if lengths else row)
    return Table((*headers, "at equal length") if lengths else headers, tuple(rows))


def _percent(cell: tuple[float, bool] | None) -> float | None:
    return None if cell is None else 100 * cell[0]


def _label(cell: tuple[float, bool] | None) -> str:
    if cell is None:
        return ""
    text = f"{100 * cell[0]:.0f} %"
    return text if cell[1] else f"({text})"


def _strengths(title: str, board: Board, place: int) -> Chart:
    ranked = list(reversed(board["checkpoints"]))
    names = [item["checkpoint"] for item in ranked]
    figure = go.Figure(
        go.Scatter(
            x=[item["strength"] for item in ranked],
            y=names,
            error_x={
                "type": "data", "symmetric": False, "thickness": 1.5, "width": 4,
                "array": [_reach(item, "high") for item in ranked],
                "arrayminus": [_reach(item, "low") for item in ranked],
                "color": "#7d8590",
            },
            mode="markers",
            marker={"size": 11, "color": [colour_of(name, names) for name in names]},
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(showlegend=False, hovermode="closest")
    figure.update_xaxes(title_text="strength, log-odds")
    figure.update_yaxes(type="category")
    return Chart(
        f"leaderboard-{place}",
        title,
        encoded(figure),
        _standing(board),
        _distrust(board),
        90 + 34 * len(names),
    )


def _reach(item: Mapping[str, Any], bound: str) -> float:
    return 0.0 if item[bound] is None else float(abs(item[bound] - item["strength"]))


def _standing(board: Board) -> Table:
    rows = tuple(
        (
            number(item["rank"]), item["checkpoint"],
            _strength(item, board["prompts"]),
            "–" if item["win_rate"] is None else share(item["win_rate"]),
        )
        for item in board["checkpoints"]
    )  # fmt: skip
    return Table(("rank", "checkpoint", "strength [95 %]", "mean win rate"), rows)


def _strength(item: Mapping[str, Any], prompts: int) -> str:
    return "–" if item["strength"] is None else interval({**item, "value": item["strength"], "n": prompts})


def _distrust(board: Board) -> str:
    """What is known of the judge that makes its verdicts worth less."""
    told = [f"{board['prompts']:,} prompts, {board['comparisons']:,} comparisons"]
    if board["status"] == "partial":
        told.append("partial: some could not be judged")
    told += [f"{count:,} {why}" for why, count in board["missing"].items() if count]
    if board.get("shown_first") is not None:
        told.append(f"the answer read first was preferred in {share(board['shown_first'])}")
    if board.get("consistent") is not None:
        told.append(f"the same verdict in both orders in {share(board['consistent'])}")
    if canaries := board.get("canaries"):
        told.append(f"{fixed(canaries['flipped'], 0)} of {canaries['asked']} canaries flipped")
    return f"{'; '.join(told)}."
