"""Table: tidy rows of an evaluation -> tables for a terminal. Torch-free."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from align.evaluation.rows import ENDED, LENGTH, is_share, win_rate_parts

DESCRIPTIVE = (LENGTH, ENDED)  # shown without interval: nothing is decided by them


def evaluation_tables(
    rows: Sequence[Mapping[str, Any]], shares: Collection[str] | None = None
) -> Iterator[Table]:
    """One table per suite and group, a line per checkpoint; a win rate says over whom.

    Metrics in `shares` stand in percent; null for an evaluation that does not say: those known by name.
    """
    percent = {row["metric"] for row in rows if is_share(row["metric"])} if shares is None else shares
    for suite in dict.fromkeys(row["suite"] for row in rows):
        yield _suite_table(suite, [row for row in rows if row["suite"] == suite], percent)


def _suite_table(suite: str, rows: Sequence[Mapping[str, Any]], shares: Collection[str]) -> Table:
    columns = dict.fromkeys(_column(row["metric"]) for row in rows)
    count = max(row["n"] for row in rows)
    title = Text(f"{suite} (n = {count})")  # groups are named by the data, which may hold markup
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("checkpoint", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")  # an interval may go below its value
    for checkpoint in dict.fromkeys(row["checkpoint"] for row in rows):
        own = [row for row in rows if row["checkpoint"] == checkpoint]
        cells = (
            "\n".join(_cell(row, shares) for row in own if _column(row["metric"]) == column)
            for column in columns
        )
        table.add_row(Text(checkpoint), *map(Text, cells))
    return table


def _column(metric: str) -> str:
    """The metric in words, or `<reward> win rate` whoever was beaten: one column serves every comparison."""
    parts = win_rate_parts(metric)
    return f"{parts[0]} win rate" if parts else {ENDED: "ended"}.get(metric, metric.replace("_", " "))


def _cell(row: Mapping[str, Any], shares: Collection[str]) -> str:
    parts = win_rate_parts(row["metric"])
    scale, digits, unit = (100, 1, " %") if row["metric"] in shares else (1, 2, "")
    value = f"{scale * row['value']:.{digits}f}{unit}"
    if row["low"] is not None and row["metric"] not in DESCRIPTIVE:
        value += f" [{scale * row['low']:.{digits}f}, {scale * row['high']:.{digits}f}]"
    return f"{value} over {parts[1]}" if parts else value
