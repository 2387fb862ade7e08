"""Length: is a higher score only a longer answer? Scores against the length of answers."""

from collections.abc import Iterator, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from align.report.collect import Facts, StageFacts
from align.report.figures import SYMBOLS, Chart, Series, Table, colour_of, encoded, line_chart, thinned
from align.report.measured import label
from align.report.section import Section, charts
from align.report.words import fixed, number

MOST_DOTS = 150  # of one checkpoint
ENOUGH = 10  # answers, for a correlation to be told


def length(facts: Facts) -> Iterator[Section]:
    """Every checkpoint's answers by length and score, and PPO's way through both."""
    drawn = [chart for stage in facts.evaluations for chart in _scatters(stage, label(facts, stage))]
    drawn += [chart for stage in facts.of_kind("ppo") for chart in _ways(stage)]
    if drawn:
        lead = (
            "Reward models tend to like long answers, and policies find out. ρ is Spearman's rank "
            "correlation of score and length within one checkpoint's answers."
        )
        yield Section("length", "Score and length", lead, [charts(drawn)])


def _scatters(stage: StageFacts, name: str) -> Iterator[Chart]:
    rewards = dict.fromkeys(
        reward
        for sample in stage.samples
        for answer in sample.get("completions", {}).values()
        for reward in answer.get("scores", {})
    )
    for reward in rewards:
        dots = _dots(stage, reward)
        if dots:
            yield _scatter(name, reward, dots)


def _dots(stage: StageFacts, reward: str) -> dict[str, list[tuple[float, float]]]:
    """Checkpoint -> (tokens, score) of its answers."""
    found: dict[str, list[tuple[float, float]]] = {}
    for sample in stage.samples:
        for name, answer in sample.get("completions", {}).items():
            score = answer.get("scores", {}).get(reward)
            if score is not None and "tokens" in answer:
                found.setdefault(name, []).append((answer["tokens"], score))
    return found


def _scatter(evaluation: str, reward: str, dots: dict[str, list[tuple[float, float]]]) -> Chart:
    figure, rows = go.Figure(), []
    for place, (name, points) in enumerate(dots.items()):
        kept = [points[index] for index in thinned(len(points), MOST_DOTS)]
        figure.add_trace(
            go.Scatter(
                x=[x for x, _ in kept],
                y=[y for _, y in kept],
                name=name,
                mode="markers",
                marker={
                    "color": colour_of(name, [*dots]),
                    "symbol": SYMBOLS[place % len(SYMBOLS)],
                    "size": 6,
                    "opacity": 0.6,
                },
            )
        )
        tokens, scores = np.asarray(points, dtype=np.float64).T
        row = (name, number(len(points)), fixed(tokens.mean(), 1), fixed(scores.mean()), _rho(tokens, scores))
        rows.append(row)
    figure.update_layout(showlegend=True, hovermode="closest")
    figure.update_xaxes(title_text="tokens of the answer")
    figure.update_yaxes(title_text=reward)
    most = max(map(len, dots.values()))
    note = (
        f"{MOST_DOTS} of {most:,} answers each are drawn; the table counts all." if most > MOST_DOTS else ""
    )
    headers = ("checkpoint", "answers", "mean tokens", f"mean {reward}", "ρ")
    return Chart(
        f"length-{evaluation}-{reward}", f"{reward} of the answers ({evaluation})", encoded(figure),
        Table(headers, tuple(rows)), note, 320,
    )  # fmt: skip


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Rank correlation, equal values sharing their mean rank; both (N,).

    By hand, because scipy.stats takes half a second to load.
    """
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks


def _rho(tokens: NDArray[np.float64], scores: NDArray[np.float64]) -> str:
    if len(tokens) < ENOUGH or not np.ptp(tokens) or not np.ptp(scores):
        return "–"
    return fixed(spearman(tokens, scores))


def _ways(stage: StageFacts) -> Iterator[Chart]:
    scores, lengths = stage.series("objective/score"), stage.series("rollout/length")
    if len(scores[0]) < 2 or scores[0] != lengths[0]:
        return
    colour = colour_of(stage.kind)
    series: Sequence[Series] = [Series(stage.name, lengths[1], scores[1], colour, mode="lines+markers")]
    title = f"Way of {stage.name}: paid score by mean length"
    yield line_chart(
        f"length-way-{stage.name}", title, series, x="mean tokens of the answers", y="paid score",
        note=f"{number(lengths[1][0])} tokens at the first update, {number(lengths[1][-1])} at the last.",
        height=320,
    )  # fmt: skip
