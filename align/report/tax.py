"""Tax: what alignment cost: perplexity on text that no model has read, and accuracy in multiple choice.

Source  Ouyang et al. 2022, arXiv:2203.02155, §4.2
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from align.evaluation.rows import ACCURACY, PERPLEXITY, PERPLEXITY_RATIO, TAX, change_suite
from align.report.collect import Facts
from align.report.dots import dot_chart
from align.report.figures import Chart, Table
from align.report.measured import Row, rows_of
from align.report.section import Block, Section, charts, table
from align.report.words import interval, number, share


def tax(facts: Facts) -> Iterator[Section]:
    """Perplexity and multiple choice of the base against those of what was made from it."""
    rows = rows_of(facts)
    taxed = [row for row in rows if row["suite"] == TAX]
    if not taxed:
        return
    asked = list(dict.fromkeys(suite for row in taxed if (suite := change_suite(row["metric"]))))
    right = [row for row in rows if row["suite"] in asked and row["metric"] == ACCURACY]
    drawn = [*_perplexity(taxed), *_accuracy(right)]
    blocks: list[Block] = [charts([chart]) for chart in drawn]
    blocks.append(table(_table(taxed, right, asked)))
    yield Section("tax", "What alignment cost", _lead(facts), blocks)


def _lead(facts: Facts) -> str:
    told = (
        "General ability of the base against that of every aligned checkpoint: perplexity on text that none "
        "has read (lower is better), and how often the right one of several choices is likeliest."
    )
    for stage in facts.evaluations:
        bounds: Mapping[str, Any] = (stage.evaluation or {}).get("tax") or {}
        if ratio := bounds.get("max_perplexity_ratio"):
            told += f" At most {number(ratio)} times the perplexity of {bounds['base']} is allowed."
        if (loss := bounds.get("max_accuracy_loss")) is not None:
            told += f" At most {share(loss)} of accuracy may be lost against {bounds['base']}."
    return told


def _perplexity(taxed: Sequence[Row]) -> Iterator[Chart]:
    own = [{**row, "suite": "text"} for row in taxed if row["metric"] == PERPLEXITY]
    if own:
        yield dot_chart(
            "tax-perplexity", "Perplexity", own, axis="perplexity", of="read", counted="texts",
            note="exp of the mean nats per token of the checkpoint's own tokenizer.",
        )  # fmt: skip


def _accuracy(right: Sequence[Row]) -> Iterator[Chart]:
    if right:
        yield dot_chart("tax-accuracy", "Multiple choice", right, axis=ACCURACY, is_share=True)


def _table(taxed: Sequence[Row], right: Sequence[Row], asked: Sequence[str]) -> Table:
    """A line per checkpoint; ratio and changes are against the base."""
    names = dict.fromkeys(row["checkpoint"] for row in (*taxed, *right))
    by_place = {(row["checkpoint"], row["suite"], row["metric"]): row for row in (*taxed, *right)}
    changes = {change_suite(row["metric"]): row["metric"] for row in taxed}
    columns = [(TAX, PERPLEXITY, False), (TAX, PERPLEXITY_RATIO, False)]
    headers = ["checkpoint", PERPLEXITY, "times the base's"]
    for suite in asked:
        columns += [(suite, ACCURACY, True), (TAX, changes[suite], True)]
        headers += [f"{suite}: {ACCURACY}", f"{suite}: change"]
    kept = [place for place, (suite, metric, _) in enumerate(columns)
            if any((name, suite, metric) in by_place for name in names)]  # fmt: skip
    lines = tuple(
        (name, *(_cell(by_place.get((name, *columns[place][:2])), columns[place][2]) for place in kept))
        for name in names
    )
    return Table((headers[0], *(headers[place + 1] for place in kept)), lines)


def _cell(row: Row | None, is_share: bool) -> str:
    return "–" if row is None else interval(row, is_share=is_share)
