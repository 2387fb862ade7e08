"""Tax: what alignment cost in general ability, as perplexity on text and accuracy in multiple choice.

Source  Ouyang et al. 2022, "Training language models to follow instructions", arXiv:2203.02155, §4.2
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from align.data.errors import DataError
from align.data.mixture import chosen, pick
from align.data.records import Text
from align.data.source import load_rows
from align.evaluation.metrics.metric import Column
from align.evaluation.rows import (
    ACCURACY,
    PERPLEXITY,
    PERPLEXITY_RATIO,
    TAX,
    Row,
    change_metric,
    change_suite,
)
from align.evaluation.statistics import Interval, mean_intervals
from align.evaluation.tax_spec import TaxSpec, TextRead
from align.evaluation.weighted import weighted_interval

Read = Sequence[TextRead]  # of every text, in the same order for all checkpoints


def tax_texts(spec: TaxSpec | None, outputs: Path) -> list[str]:
    """The texts to read, always the same.

    Raises:
        DataError: they cannot be read.
    """
    if spec is None or spec.texts is None:
        return []
    try:
        rows = load_rows(spec.texts, Text, outputs)
    except DataError as cause:
        raise DataError(f"tax.texts: {cause}") from cause
    found = rows.held_out if spec.texts.held_out else rows.train
    kept = pick(found, chosen(len(found), min(spec.max_texts, len(found)), f"{spec.texts.seed}:tax"))
    return [row.text for row in kept]


def tax_rows(
    spec: TaxSpec,
    texts: Mapping[str, Read],
    accuracies: Mapping[str, Mapping[str, Column]],
    *,
    resamples: int,
    seed: int,
) -> Iterator[Row]:
    """Rows of the suite `tax`.

    Args:
        spec: who is the base.
        texts: checkpoint -> how it read every text.
        accuracies: suite -> checkpoint -> whether it was right, prompt by prompt.
        resamples: bootstrap resamples.
        seed: of the resampling.
    """
    base = texts.get(spec.base, ())
    for name, read in texts.items():
        yield from _exponential(name, PERPLEXITY, [(-own.nats, own.tokens) for own in read], resamples, seed)
        if name != spec.base and base:  # nats do not depend on how a tokenizer cuts the text
            lost = [
                (other.nats - own.nats, other.tokens)
                for own, other in zip(read, base, strict=True)
                if own.tokens and _is_same_text(own, other)
            ]
            yield from _exponential(name, PERPLEXITY_RATIO, lost, resamples, seed)
    for suite, columns in accuracies.items():
        for name, column in columns.items():
            if name != spec.base and spec.base in columns:
                change = np.asarray(column.values) - np.asarray(columns[spec.base].values)
                (found,) = mean_intervals(change[:, None], resamples=resamples, seed=seed)
                yield _row(name, change_metric(suite), found)


def tax_problems(spec: TaxSpec, rows: Sequence[Row]) -> Iterator[str]:
    """Checkpoints that lost more than `spec` allows, as `tax.<bound>: problem`."""
    known = {spec.base, *(row.checkpoint for row in rows if row.metric == PERPLEXITY_RATIO)}
    for row in rows:
        if row.metric == PERPLEXITY and spec.max_perplexity_ratio and row.checkpoint not in known:
            yield (
                f"tax.max_perplexity_ratio: {row.checkpoint} and {spec.base} have read no text equally far: "
                "nothing can be compared; name shorter `texts`"
            )
        ratio, suite = spec.max_perplexity_ratio, change_suite(row.metric)
        if row.metric == PERPLEXITY_RATIO and ratio and row.value > ratio:
            yield (
                f"tax.max_perplexity_ratio: the perplexity of {row.checkpoint} on held-out text is "
                f"{row.value:.2f} times that of {spec.base}, and {ratio:g} are allowed"
            )
        lost, bound = -row.value, spec.max_accuracy_loss
        if suite is not None and bound is not None and lost > bound:
            yield (
                f"tax.max_accuracy_loss: {row.checkpoint} lost {lost:.3f} of {ACCURACY} against {spec.base} "
                f"in {suite}, and {bound:g} are allowed"
            )


def _is_same_text(one: TextRead, other: TextRead) -> bool:
    """Whether two tokenizers have got equally far: a text that is cut ends where so many tokens do."""
    return one.is_whole and other.is_whole or one.tokens == other.tokens


def _exponential(
    name: str, metric: str, read: Sequence[tuple[float, int]], resamples: int, seed: int
) -> Iterator[Row]:
    """exp of nats per token, and of its bounds; nothing where no text has tokens."""
    nats, tokens = np.asarray([item for item in read if item[1]], dtype=np.float64).reshape(-1, 2).T
    texts = np.arange(len(nats))
    found = weighted_interval(nats / tokens, tokens, texts, resamples=resamples, seed=seed)
    if found is not None:
        low, high = (None if bound is None else math.exp(bound) for bound in (found.low, found.high))
        yield _row(name, metric, Interval(math.exp(found.value), low, high, found.n))


def _row(checkpoint: str, metric: str, found: Interval) -> Row:
    return Row(checkpoint, TAX, metric, found.value, found.low, found.high, found.n)
