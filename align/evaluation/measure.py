"""Measure: what every checkpoint answered and scored on a suite -> tidy rows with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from align.evaluation.metrics.metric import Column
from align.evaluation.rows import ENDED, LENGTH, Row, is_share, win_rate_metric
from align.evaluation.scoring import Scores
from align.evaluation.statistics import Floats, Interval, mean_intervals, of_share
from align.evaluation.suite import Suite
from align.evaluation.weighted import weighted_interval
from align.evaluation.win_rate import wins
from align.generation.sampler import Completion


@dataclass(frozen=True)
class Answers:
    """What one checkpoint did on one suite, row by row of its prompts; `columns` are its metric's."""

    completions: Sequence[Completion]
    scores: Scores
    columns: Mapping[str, Column] = field(default_factory=dict)


def measure(
    suite: Suite,
    answers: Mapping[str, Answers],
    compare: Mapping[str, Sequence[str]],
    *,
    resamples: int,
    seed: int,
) -> Iterator[Row]:
    """Rows of the whole suite first, then of each group.

    Args:
        suite: what was asked.
        answers: checkpoint -> its answers, in the order to report.
        compare: checkpoint -> the checkpoints whose answers its own are compared with, prompt by prompt.
        resamples: bootstrap resamples.
        seed: of the resampling.
    """
    if not answers:
        return
    columns = {
        (name, metric): values
        for name in (answers if suite.choose is None else ())
        for metric, values in _values(name, answers, compare)
    }
    clusters = np.asarray(suite.clusters)
    for label, rows in suite.groups.items():
        named = f"{suite.name}/{label}" if label else suite.name
        if columns:
            table = np.column_stack(list(columns.values()))[rows]
            intervals = mean_intervals(table, clusters[rows], resamples=resamples, seed=seed)
            for (checkpoint, metric), found in zip(columns, intervals, strict=True):
                yield _row(checkpoint, named, metric, of_share(found) if is_share(metric) else found)
        for checkpoint, given in answers.items():
            for metric, column in given.columns.items():
                values, weights = np.asarray(column.values)[rows], _weights(column)[rows]
                interval = weighted_interval(values, weights, clusters[rows], resamples=resamples, seed=seed)
                if interval is not None:
                    found = of_share(interval) if column.is_share else interval
                    yield _row(checkpoint, named, metric, found)


def shares_in(rows: Sequence[Row], answers: Mapping[str, Mapping[str, Answers]]) -> list[str]:
    """The metrics of these rows whose values are shares: our own by name, a suite's as it says itself."""
    declared = {
        metric: column.is_share
        for by_name in answers.values()
        for given in by_name.values()
        for metric, column in given.columns.items()
    }
    metrics = dict.fromkeys(row.metric for row in rows)
    return [metric for metric in metrics if declared.get(metric, is_share(metric))]


def _values(
    name: str, answers: Mapping[str, Answers], compare: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Floats]]:
    own = answers[name]
    for reward, scores in own.scores.items():
        yield reward, np.asarray(scores)
        for baseline in (other for other in compare.get(name, ()) if other in answers):
            yield win_rate_metric(reward, baseline), wins(scores, answers[baseline].scores[reward])
    yield LENGTH, np.asarray([float(len(completion.tokens)) for completion in own.completions])
    yield ENDED, np.asarray([float(completion.ended) for completion in own.completions])


def _weights(column: Column) -> Floats:
    return np.ones(len(column.values)) if column.weights is None else np.asarray(column.weights)


def _row(checkpoint: str, suite: str, metric: str, found: Interval) -> Row:
    return Row(checkpoint, suite, metric, found.value, found.low, found.high, found.n)
