"""Training: what stages logged -> curves of every stage, entropy, KL, over-optimisation, length."""

from collections.abc import Iterator, Sequence

import numpy as np

from align.report.collect import Facts, StageFacts
from align.report.figures import DASHES, Chart, Series, colour_of, line_chart
from align.report.overoptimisation import Fit, fit
from align.report.section import Section, charts
from align.report.words import fixed, number

HELD_OUT = "held_out"
SHARE = "share"
# Small charts of a stage: title, metrics (and their names in the legend), what the axis says.
CURVES: tuple[tuple[str, tuple[tuple[str, str], ...], str], ...] = (
    ("Loss", (("policy/loss", "loss"), ("reward_model/loss", "loss")), "nats"),
    ("Token accuracy", (("policy/token_accuracy", "accuracy"),), SHARE),
    ("Pairs told right", (("reward_model/accuracy", "accuracy"), ("dpo/accuracy", "accuracy")), SHARE),
    ("Margin", (("reward_model/margin", "margin"), ("dpo/margin", "margin")), "score"),
    (
        "Log-probability of the answers",
        (("dpo/chosen_logprob", "chosen"), ("dpo/rejected_logprob", "rejected")),
        "nats",
    ),
    ("Score", (("objective/score", "paid score"),), "score"),
    ("Answers that end", (("rollout/ended_fraction", "ended"),), SHARE),
    ("Clipped", (("policy/clip_fraction", "policy"), ("value/clip_fraction", "value")), SHARE),
    ("Explained variance of the value model", (("value/explained_variance", "explained"),), SHARE),
    (
        "Variety of answers",
        (
            ("text/distinct_2", "distinct pairs"),
            ("text/same_opening", "same opening"),
            ("text/repeated", "repeated"),
        ),
        SHARE,
    ),
    (
        "Gradient norm",
        (("trainer/grad_norm", "norm"), ("policy/grad_norm", "policy"), ("value/grad_norm", "value")),
        "",
    ),
    ("Learning rate", (("trainer/learning_rate", "rate"), ("policy/learning_rate", "rate")), ""),
)


def curves(facts: Facts) -> Iterator[Section]:
    """Every training stage's metrics, a row of small charts each."""
    blocks = []
    for stage in facts.stages:
        if stage.kind == "evaluate":
            continue
        drawn = list(_stage_charts(stage))
        if drawn:
            blocks.append(charts(drawn, stage.name, _extent(stage)))
    if blocks:
        lead = "What each stage logged while it trained. Open circles are rows it never trained on."
        yield Section("curves", "Training curves", lead, blocks)


def _extent(stage: StageFacts) -> str:
    steps = max((row["step"] for row in stage.metrics if row["split"] == "train"), default=0)
    return f"{steps:,} {'updates' if stage.kind == 'ppo' else 'steps'}"


def _stage_charts(stage: StageFacts) -> Iterator[Chart]:
    colour = colour_of(stage.kind)
    unit = "update" if stage.kind == "ppo" else "step"
    for number_, (title, metrics, axis) in enumerate(CURVES):
        if stage.kind == "ppo" and title in ("Loss", "Learning rate"):
            continue  # a clipped objective near 0 says nothing about progress
        series = list(_metric_series(stage, metrics, colour))
        if series:
            yield line_chart(
                f"curve-{stage.name}-{number_}", title, series, x=unit, y="" if axis == SHARE else axis,
                height=200, shares="y" if axis == SHARE else "",
            )  # fmt: skip


def _metric_series(stage: StageFacts, metrics: Sequence[tuple[str, str]], own: str) -> Iterator[Series]:
    logged = [(metric, name) for metric, name in metrics if stage.series(metric)[0]]
    for place, (metric, name) in enumerate(logged):
        colour = own if not place else colour_of(name, [other for _, other in metrics])
        x, y = stage.series(metric)
        low, high = (stage.series(f"{metric}_p{at}")[1] for at in (5, 95))
        is_banded = len(low) == len(high) == len(x)
        yield Series(
            name, x, y, colour, low if is_banded else None, high if is_banded else None,
            dash="dot" if place else "solid", mode="lines" if len(x) > 1 else "markers",
        )  # fmt: skip
        x, y = stage.series(metric, HELD_OUT)
        if x:
            yield Series(
                f"{name}, held out", x, y, colour, mode="markers", symbol="circle-open", is_named=False
            )


def entropy(facts: Facts) -> Iterator[Section]:
    """Entropy of what every stage would say next, over its progress."""
    series = [_over_progress(stage, "objective/entropy") for stage in facts.stages]
    found = [item for item in series if item is not None]
    if found:
        chart = line_chart(
            "entropy-chart", "Entropy per token", found, x="progress of the stage, %", y="nats", height=300
        )
        lead = (
            "How undecided the model is about its next token: of the data's answers in SFT and DPO, of its "
            "own in PPO. A fall to almost nothing is collapse onto few phrases."
        )
        yield Section("entropy", "Entropy", lead, [charts([chart])])


def _over_progress(stage: StageFacts, metric: str) -> Series | None:
    x, y = stage.series(metric)
    if not x:
        return None
    last = max(x)
    return Series(stage.name, [100 * step / last for step in x], y, colour_of(stage.kind))


def kl(facts: Facts) -> Iterator[Section]:
    """How far PPO went from where it started."""
    stages = [stage for stage in facts.of_kind("ppo") if stage.series("objective/kl")[0]]
    if not stages:
        return
    drawn: list[Chart] = []
    for metric, title, unit in (
        ("objective/kl", "KL per answer", "nats"),
        ("objective/kl_per_token", "KL per token", "nats"),
        ("objective/kl_coefficient", "Price of a nat", "score"),
    ):
        series = [
            Series(stage.name, *stage.series(metric), colour_of(stage.kind), dash=DASHES[place % len(DASHES)])
            for place, stage in enumerate(stages)
        ]
        if any(len(set(item.y)) > 1 for item in series):
            drawn.append(line_chart(f"kl-{len(drawn)}", title, series, x="update", y=unit, height=240))
    lead = "How far the policy has moved from its reference: the lower for the same gain, the better."
    yield Section("kl", "Distance from the reference", lead, [charts(drawn)])


def overoptimisation(facts: Facts) -> Iterator[Section]:
    """What PPO is paid, and what is only measured, against sqrt(KL)."""
    drawn = [chart for stage in facts.of_kind("ppo") if (chart := _against_distance(stage)) is not None]
    if drawn:
        lead = (
            "The score that PPO is paid, and scores it is not paid, against the distance d = √KL from where "
            "it started, all as the change since the first update. A paid score that goes on rising while a "
            "measured one falls is a reward being gamed."
        )
        yield Section("over-optimisation", "Is the reward gamed?", lead, [charts([chart]) for chart in drawn])


def _against_distance(stage: StageFacts) -> Chart | None:
    measured = zip(stage.spec.get("measured") or {}, ("#dc6428", "#2b8cc4", "#b872a4"), strict=False)
    names = [("objective/score", "paid score", "#7d8590")]
    names += [(f"score/{name}", f"{name} (measured)", colour) for name, colour in measured]
    distances = stage.series("objective/sqrt_kl")[1]
    series, told = [], []
    for metric, name, colour in names:
        values = stage.series(metric)[1]
        if not values or len(values) != len(distances):
            continue
        gains = [value - values[0] for value in values]
        series.append(Series(name, distances, gains, colour, mode="markers"))
        if line := fit(distances, gains):
            series += _fitted(name, line, colour)
            told.append(f"{name}: {_told(line, max(distances))}")
    if not series:
        return None
    note = (
        f"{'; '.join(told)}."
        if told
        else "Too few updates, or too little movement, for a curve to be fitted."
    )
    note += " Fitted by least squares (Gao et al. 2023, arXiv:2210.10760)."
    return line_chart(
        f"overoptimisation-{stage.name}", stage.name, series, x="d = √KL from the start, √nats",
        y="change of score", note=note, height=380,
    )  # fmt: skip


def _fitted(name: str, line: Fit, colour: str) -> Iterator[Series]:
    """The curve over what it was fitted to, and a star at its peak."""
    grid = np.linspace(1e-3, line.reach, 60)
    yield Series(f"{name}, fitted", grid.tolist(), line(grid).tolist(), colour)
    if line.peak is not None and grid[0] < line.peak <= line.reach:
        top = line(np.array([line.peak])).tolist()
        yield Series(f"{name}, fitted peak", [line.peak], top, colour, mode="markers", symbol="star", size=14)


def _told(line: Fit, reached: float) -> str:
    words = f"{line.formula}, α = {fixed(line.alpha)}, β = {fixed(line.beta)}, R² = {fixed(line.explained)}"
    if line.reach < reached:
        words += f" (fitted up to d = {number(line.reach)}, from where it stays below its start)"
    if line.peak is None:
        return f"{words}, no peak"
    if line.peak > line.reach:
        return f"{words}, fitted peak beyond what was reached"
    return f"{words}, fitted peak at d = {number(line.peak)} (a KL of {number(line.peak**2)} nats)"
