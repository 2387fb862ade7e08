"""Reward table: reward_models.json -> a table for a terminal. Torch-free."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text


def reward_tables(content: Mapping[str, Any]) -> Iterator[Table]:
    """One table per reward model, a line per set of pairs and one per source where there are several."""
    for entry in content["reward_models"]:
        table = Table(title=Text(f"reward model {entry['model']}"), title_justify="left", box=box.SIMPLE)
        for column in ("pairs of", "pairs", "accuracy", "calibration error", "longer liked", "longer chosen"):
            table.add_column(column, justify="left" if column == "pairs of" else "right", overflow="fold")
        for name, quality in entry["sets"].items():
            length = quality["length"]
            table.add_row(
                Text(name),
                *_accuracy(quality["accuracy"]),
                f"{100 * quality['calibration']['ece']:.1f} %",
                _percent(length["longer_preferred"]),
                _percent(length["longer_chosen"]),
            )
            if len(quality["by_source"]) > 1:
                for source, accuracy in quality["by_source"].items():
                    table.add_row(Text(f"  {source}"), *_accuracy(accuracy), "", "", "")
        yield table


def _accuracy(entry: Mapping[str, Any]) -> tuple[str, str]:
    value = _percent(entry["value"])
    if entry["low"] is not None:
        value += f" [{100 * entry['low']:.1f}, {100 * entry['high']:.1f}]"
    return str(entry["pairs"]), value


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
