"""Reward models: how well they tell pairs apart, how sure they are, and whether length pulls them.

Reads   reward_models.json (docs/evaluation.md); without it, the rows of evaluation.json
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from align.evaluation.rows import ACCURACY, MARGIN
from align.report.collect import Facts
from align.report.dots import dot_chart
from align.report.figures import Chart, Series, Table, colour_of, encoded, line_chart
from align.report.measured import PAIRS, label, rows_of
from align.report.section import Block, Section, charts, table
from align.report.words import fixed, interval, number, share

Quality = Mapping[str, Any]
LEAD = (
    "Pairs of answers that no reward model has trained on, told apart as people did; a coin is right in 50 %."
)


def reward_models(facts: Facts) -> Iterator[Section]:
    """Everything that was measured of every model, set of pairs by set of pairs."""
    sets = _sets(facts)
    if sets:
        blocks: list[Block] = [table(_overview(sets)), table(_length(sets), "The pull of length")]
        for place, (name, models) in enumerate(sets.items()):
            blocks.append(charts(list(_charts(place, name, models)), name, _extent(models)))
        lead = (
            f"{LEAD} ECE is the mean gap between how sure a model is and how often it is right; ρ is "
            "Spearman's rank correlation with the number of characters."
        )
        yield Section("reward-models", "Reward models", lead, blocks)
    elif found := _from_rows(facts):
        yield Section("reward-models", "Reward models", LEAD, [table(found)])


def _sets(facts: Facts) -> dict[str, dict[str, Quality]]:
    """Set of pairs -> model -> what was measured; what two evaluations found alike stands once."""
    found: dict[str, dict[str, Quality]] = {}
    for stage in facts.evaluations:
        for entry in (stage.reward_models or {}).get("reward_models", ()):
            for name, quality in entry["sets"].items():
                own = found.setdefault(name, {})
                if not any(_is_same(quality, other) for other in own.values()):
                    model = entry["model"]
                    own[model if model not in own else f"{model} ({label(facts, stage)})"] = quality
    return found


def _is_same(one: Quality, other: Quality) -> bool:
    """Whether the same scores were measured; intervals may be resampled otherwise."""
    return all(one[name] == other[name] for name in ("log_loss", "margins", "calibration"))


def _extent(models: Mapping[str, Quality]) -> str:
    accuracy = next(iter(models.values()))[ACCURACY]
    return f"{accuracy['pairs']:,} pairs of {accuracy['n']:,} prompts"


def _overview(sets: Mapping[str, Mapping[str, Quality]]) -> Table:
    headers = ("pairs of", "reward model", "told right [95 %]", "pairs", "log loss", "ECE")
    rows = tuple(
        (
            name, model, interval(quality[ACCURACY], is_share=True), number(quality[ACCURACY]["pairs"]),
            fixed(quality["log_loss"], 3), share(quality["calibration"]["ece"]),
        )
        for name, models in sets.items()
        for model, quality in models.items()
    )  # fmt: skip
    return Table(headers, rows)


def _length(sets: Mapping[str, Mapping[str, Quality]]) -> Table:
    headers = (
        "pairs of", "reward model", "longer liked", "longer chosen by people", "ρ of score", "ρ of margin",
    )  # fmt: skip
    rows = tuple(
        (
            name, model, _share(found["longer_preferred"]), _share(found["longer_chosen"]),
            _fixed(found["score_correlation"]), _fixed(found["margin_correlation"]),
        )
        for name, models in sets.items()
        for model, quality in models.items()
        for found in (quality["length"],)
    )  # fmt: skip
    return Table(headers, rows)


def _charts(place: int, name: str, models: Mapping[str, Quality]) -> Iterator[Chart]:
    for kind, title in (("by_source", "Told right by source"), ("by_length", "Told right by length")):
        rows = [
            {**accuracy, "suite": of, "checkpoint": model}
            for model, quality in models.items()
            for of, accuracy in quality[kind].items()
        ]
        note = "" if kind == "by_source" else "How long the chosen answer is, against the rejected one."
        if rows:
            yield dot_chart(
                f"reward-{place}-{kind}", title, rows, axis="told right", is_share=True,
                of=kind.removeprefix("by_"), note=note,
            )  # fmt: skip
    yield _reliability(place, models)
    for number_, (model, quality) in enumerate(models.items()):
        title = "Margins" if len(models) == 1 else f"Margins of {model}"
        yield _margins(f"reward-{place}-margins-{number_}", title, quality["margins"], colour_of(model))


def _reliability(place: int, models: Mapping[str, Quality]) -> Chart:
    """How often a model is right against how sure it was; a well calibrated one runs along the diagonal."""
    series = [Series("as sure as right", [0.5, 1.0], [0.5, 1.0], "#7d8590", dash="dot")]
    told = []
    for model, quality in models.items():
        bins = quality["calibration"]["bins"]
        series.append(
            Series(
                model, [item["confidence"] for item in bins], [item["accuracy"] for item in bins],
                colour_of(model, [*models]), mode="lines+markers",
            )
        )  # fmt: skip
        told.append(f"{model}: ECE {share(quality['calibration']['ece'])}")
    chart = line_chart(
        f"reward-{place}-reliability", "Calibration", series, x="how sure", y="how often right",
        note=f"{'; '.join(told)}.", shares="xy",
    )  # fmt: skip
    return Chart(chart.id, chart.title, chart.figure, _bins(models), chart.note, chart.height)


def _bins(models: Mapping[str, Quality]) -> Table:
    rows = tuple(
        (
            model, f"{share(item['low'])} to {share(item['high'])}", number(item["pairs"]),
            share(item["confidence"]), share(item["accuracy"]),
        )
        for model, quality in models.items()
        for item in quality["calibration"]["bins"]
    )  # fmt: skip
    return Table(("reward model", "how sure", "pairs", "mean", "right"), rows)


def _margins(chart_id: str, title: str, found: Mapping[str, Sequence[float]], colour: str) -> Chart:
    edges, counts = found["edges"], found["counts"]
    spans = list(zip(edges[:-1], edges[1:], strict=True))
    figure = go.Figure(
        go.Bar(
            x=[(low + high) / 2 for low, high in spans],
            y=list(counts),
            width=[high - low for low, high in spans],
            marker={"color": colour, "line": {"width": 0}},
            opacity=0.8,
            hovertemplate="%{y} pairs<extra></extra>",
        )
    )
    figure.update_layout(showlegend=False, bargap=0)
    figure.update_xaxes(title_text="chosen − rejected, score", zeroline=True, zerolinewidth=2)
    figure.update_yaxes(title_text="pairs")
    rows = tuple(
        (f"{fixed(low)} to {fixed(high)}", number(count))
        for (low, high), count in zip(spans, counts, strict=True)
    )
    note = "Right of 0 is told right. The outermost bars hold what lies beyond them."
    return Chart(chart_id, title, encoded(figure), Table(("margin", "pairs"), rows), note)


def _from_rows(facts: Facts) -> Table | None:
    """What evaluations from before reward_models.json tell."""
    rows = [row for row in rows_of(facts) if row["suite"] == PAIRS]
    lines = []
    for name in dict.fromkeys(row["checkpoint"] for row in rows):
        own = {row["metric"]: row for row in rows if row["checkpoint"] == name}
        accuracy, margin = own[ACCURACY], own[MARGIN]
        lines.append((name, interval(accuracy, is_share=True), interval(margin), number(accuracy["n"])))
    return Table(("reward model", "pairs told right", "margin", "pairs"), tuple(lines)) if lines else None


def _share(value: float | None) -> str:
    return "–" if value is None else share(value)


def _fixed(value: float | None) -> str:
    return "–" if value is None else fixed(value)
