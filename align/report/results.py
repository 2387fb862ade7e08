"""Results: what the evaluation measured -> scores by suite, and of reward models."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from align.evaluation.rows import ACCURACY, ENDED, LENGTH, MARGIN, win_rate_parts
from align.report.collect import Facts, StageFacts
from align.report.figures import SYMBOLS, Chart, Table, colour_of, encoded
from align.report.section import Block, Section, charts, folded, table
from align.report.words import TOO_FEW, interval, number, share

Row = Mapping[str, Any]
PAIRS = "held_out_pairs"
SHARES = (ENDED, ACCURACY)


def rows_of(facts: Facts) -> list[Row]:
    """The tidy rows of all evaluations."""
    return [row for stage in facts.evaluations for row in (stage.evaluation or {}).get("rows", ())]


def comparisons(facts: Facts) -> list[Row]:
    """Win rates on the first suite by the first reward that judges any: what a report opens with."""
    found = [row for row in rows_of(facts) if win_rate_parts(row["metric"]) and "/" not in row["suite"]]
    if not found:
        return []
    rewards = list(dict.fromkeys(_parts(row)[0] for row in found))
    judge = "gold" if "gold" in rewards else rewards[0]
    suite = found[0]["suite"]
    return [row for row in found if row["suite"] == suite and _parts(row)[0] == judge]


def suites(facts: Facts) -> Iterator[Section]:
    """Scores with their intervals, a table per suite; groups of a suite open on demand."""
    rows = [row for row in rows_of(facts) if row["suite"] != PAIRS]
    if not rows:
        return
    whole = [row for row in rows if "/" not in row["suite"]]
    blocks: list[Block] = []
    blocks += [charts([chart]) for chart in _dots(whole)]
    for suite in dict.fromkeys(row["suite"] for row in whole):
        own = [row for row in whole if row["suite"] == suite]
        note = f"{max(row['n'] for row in own):,} prompts{_digest(facts, suite)}"
        blocks.append(table(_suite_table(own), suite, note))
    for group in dict.fromkeys(row["suite"] for row in rows if "/" in row["suite"]):
        blocks.append(folded(_suite_table([row for row in rows if row["suite"] == group]), group))
    lead = f"Means with 95 % intervals over prompts.{_decoding(facts)}"
    yield Section("suites", "Results by suite", lead, blocks)


def reward_models(facts: Facts) -> Iterator[Section]:
    """How well reward models tell pairs apart that they were not trained on."""
    rows = [row for row in rows_of(facts) if row["suite"] == PAIRS]
    if not rows:
        return
    names = dict.fromkeys(row["checkpoint"] for row in rows)
    lines = []
    for name in names:
        own = {row["metric"]: row for row in rows if row["checkpoint"] == name}
        accuracy, margin = own.get(ACCURACY), own.get(MARGIN)
        lines.append(
            (
                name,
                interval(accuracy, is_share=True) if accuracy else "–",
                interval(margin) if margin else "–",
                number((accuracy or margin or {"n": 0})["n"]),
            )
        )
    lead = (
        "Pairs of answers held out from training, told apart as the annotators did; a coin is right in 50 %."
    )
    found = Table(("reward model", "pairs told right", "margin", "pairs"), tuple(lines))
    yield Section("reward-models", "Reward models", lead, [table(found)])


def _parts(row: Row) -> tuple[str, str]:
    parts = win_rate_parts(row["metric"])
    assert parts is not None
    return parts


def _evaluation(stage: StageFacts) -> dict[str, Any]:
    return stage.evaluation or {}


def _digest(facts: Facts, suite: str) -> str:
    for stage in facts.evaluations:
        asked = _evaluation(stage).get("suites", {}).get(suite, {})
        if digest := asked.get("digest"):
            return f" · prompts {str(digest)[:12]}"
    return ""


def _decoding(facts: Facts) -> str:
    told = dict.fromkeys(
        ", ".join(f"{name} {value}" for name, value in decoding.items())
        for stage in facts.evaluations
        if (decoding := _evaluation(stage).get("decoding"))
    )
    return f" Decoding: {'; '.join(told)}." if told else ""


def _suite_table(rows: Sequence[Row]) -> Table:
    """A line per checkpoint, a column per metric; win rates have a section of their own."""
    plain = [row for row in rows if not win_rate_parts(row["metric"])]
    metrics = dict.fromkeys(row["metric"] for row in plain)
    lines = []
    for checkpoint in dict.fromkeys(row["checkpoint"] for row in plain):
        own = {row["metric"]: row for row in plain if row["checkpoint"] == checkpoint}
        lines.append((checkpoint, *(_cell(own.get(metric), metric) for metric in metrics)))
    heads = (("ended" if metric == ENDED else "tokens" if metric == LENGTH else metric) for metric in metrics)
    return Table(("checkpoint", *heads), tuple(lines))


def _cell(row: Row | None, metric: str) -> str:
    if row is None:
        return ""
    if metric in (LENGTH, ENDED):  # nothing is decided by them
        return share(row["value"]) if metric == ENDED else number(row["value"])
    return interval(row, is_share=metric in SHARES)


def _dots(rows: Sequence[Row]) -> Iterator[Chart]:
    """One chart per metric: suites down, checkpoints as dots with their intervals."""
    plain = [
        row for row in rows if not win_rate_parts(row["metric"]) and row["metric"] not in (LENGTH, ENDED)
    ]
    for metric in dict.fromkeys(row["metric"] for row in plain):
        own = [row for row in plain if row["metric"] == metric]
        yield _dot_chart(metric, own)


def _dot_chart(metric: str, rows: Sequence[Row]) -> Chart:
    names, asked = (list(dict.fromkeys(row[key] for row in rows)) for key in ("checkpoint", "suite"))
    figure = go.Figure()
    for place, name in enumerate(names):
        own = [row for row in rows if row["checkpoint"] == name]
        offset = 0.7 * ((place + 0.5) / len(names) - 0.5)
        figure.add_trace(
            go.Scatter(
                x=[row["value"] for row in own],
                y=[len(asked) - 1 - asked.index(row["suite"]) - offset for row in own],
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [_reach(row, "high") for row in own],
                    "arrayminus": [_reach(row, "low") for row in own],
                    "thickness": 1.5,
                    "width": 3,
                },
                customdata=[interval(row) for row in own],
                hovertemplate="%{customdata}",
                mode="markers",
                name=name,
                marker={"color": colour_of(name, names), "symbol": SYMBOLS[place % len(SYMBOLS)], "size": 9},
            )
        )
    figure.update_layout(showlegend=True, hovermode="closest")
    figure.update_xaxes(title_text=metric)
    figure.update_yaxes(
        tickvals=list(range(len(asked))), ticktext=asked[::-1], range=[-0.6, len(asked) - 0.4]
    )
    lines = tuple((row["suite"], row["checkpoint"], interval(row), number(row["n"])) for row in rows)
    headers = ("suite", "checkpoint", f"{metric} [95 %]", "prompts")
    height = 110 + (17 * len(names) + 14) * len(asked)
    return Chart(f"score-{metric}", metric, encoded(figure), Table(headers, lines), "", height)


def _reach(row: Row, bound: str) -> float:
    """Length of an error bar; none where prompts are too few for an interval."""
    return abs(row[bound] - row["value"]) if row["low"] is not None and row["n"] >= TOO_FEW else 0.0
