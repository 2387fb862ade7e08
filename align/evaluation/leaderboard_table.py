"""Leaderboard table: leaderboards.json -> tables for a terminal. Torch-free."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text


def leaderboard_tables(content: Mapping[str, Any], *, has_pairs: bool = True) -> Iterator[RenderableType]:
    """For every judge and suite the order of the checkpoints, and the pairs where `has_pairs` says so; then
    whatever looks wrong.
    """
    for board in content["leaderboards"]:
        yield _ranking(board)
        if has_pairs:
            yield _pairs(board)
        if board["problem"]:
            yield Text(f"no strengths: {board['problem']}")
    for flag in content["flags"]:
        yield Text(f"warning: {flag['message']}", style="yellow")


def _ranking(board: Mapping[str, Any]) -> Table:
    title = f"{board['suite']} judged by {board['judge']} ({board['prompts']} prompts{_notes(board)})"
    table = _table(title, "rank", "checkpoint", "strength", "mean win rate")
    for entry in board["checkpoints"]:
        strength = "" if entry["strength"] is None else _bounded(entry, "strength", 1, 2, "")
        rank = "" if entry["rank"] is None else str(entry["rank"])
        table.add_row(rank, Text(entry["checkpoint"]), strength, f"{100 * entry['win_rate']:.1f} %")
    return table


def _pairs(board: Mapping[str, Any]) -> Table:
    table = _table("", "pair", "win rate", "at equal length", "won/tied/lost", "p (sign, Holm)", "winner")
    for pair in board["pairs"]:
        equal = pair["equal_length"]
        table.add_row(
            Text(f"{pair['checkpoint']} over {pair['baseline']}"),
            _bounded(pair["win_rate"], "value", 100, 1, " %"),
            "" if equal is None else _bounded(equal, "value", 100, 1, " %"),
            f"{pair['wins']}/{pair['ties']}/{pair['losses']}",
            f"{pair['holm_p']:.2g}",
            Text(_winner(pair)),
        )
    return table


def _winner(pair: Mapping[str, Any]) -> str:
    if pair["is_flagged"]:
        return "none: alike"
    return "too few" if pair["is_too_few"] else pair["winner"] or "none"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title) if title else None, title_justify="left", box=box.SIMPLE)
    for column in columns:
        left = column in ("checkpoint", "pair", "winner")
        table.add_column(column, justify="left" if left else "right", overflow="fold")
    return table


def _bounded(entry: Mapping[str, Any], key: str, scale: int, digits: int, unit: str) -> str:
    value = f"{scale * entry[key]:.{digits}f}{unit}"
    if entry["low"] is None:
        return value
    return f"{value} [{scale * entry['low']:.{digits}f}, {scale * entry['high']:.{digits}f}]"


def _notes(board: Mapping[str, Any]) -> str:
    notes = [f"{count} {reason}" for reason, count in board["missing"].items()]
    if board["status"] == "partial":
        notes.append("PARTIAL")
    if board["shown_first"] is not None:
        notes.append(f"first answer preferred {100 * board['shown_first']:.0f} %")
    if canaries := board["canaries"]:
        notes.append(f"{canaries['flipped']} of {canaries['asked']} canaries obeyed")
    return "".join(f"; {note}" for note in notes)
