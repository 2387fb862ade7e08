"""Live: one line per stage while a pipeline runs; redrawn on a terminal, plain lines elsewhere."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from align.artifacts.metrics import TOTAL_STEPS
from align.pipeline.redrawn import Redrawn

PLAIN_EVERY_SECONDS = 30
TAIL_BYTES = 4096
WIDTH = 160
BAR_WIDTH = 40
SHOWN_METRICS = {"objective/score": "score", "policy/loss": "loss", "reward_model/loss": "loss"}


def screen() -> Console:
    """Standard output as this terminal has it, or wide enough for tables where there is none."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=WIDTH)


@dataclass(frozen=True)
class Progress:
    """How far a stage has got: in words, as a share, and how many seconds it still needs; None: not known."""

    text: str
    share: float | None = None
    seconds_left: float | None = None


class Board(Redrawn):
    """The lines of one run. `close` before printing anything else."""

    def __init__(self, stages: Sequence[str], console: Console) -> None:
        super().__init__(console)
        self._width = max((len(name) for name in stages), default=0)
        self._done: list[Text] = []
        self._started = self._told = 0.0
        self._to_come: dict[str, float | None] = {}

    def start(self, name: str) -> None:
        """A stage begins: its seconds count from here."""
        self._started = self._told = time.monotonic()
        self.show(name, "starting")

    def expect(self, seconds: Mapping[str, float | None]) -> None:
        """How long every stage that is to run took before; None where that is not known."""
        self._to_come = dict(seconds)

    def show(self, name: str, doing: str | Progress, *, at_once: bool = False) -> None:
        """What the stage does right now; without a terminal a line appears now and then, or `at_once`."""
        now = time.monotonic()
        found = doing if isinstance(doing, Progress) else Progress(doing)
        words = f"{found.text}, {now - self._started:.0f} s{self._left(name, found, now)}"
        line = self._line(name, "running", words)
        if self._live:
            shown: list[RenderableType] = [*self._done, line]
            if found.share is not None:
                shown.append(ProgressBar(completed=100 * found.share, width=BAR_WIDTH))
            self._live.update(Group(*shown), refresh=True)
        elif at_once or now - self._told >= PLAIN_EVERY_SECONDS:
            self._told = now
            self._console.print(line)

    def tell(self, text: str) -> None:
        """Something that the user must know; it stays on the screen."""
        line = Text(text, style="yellow")
        self._done.append(line)
        if not self._live:
            self._console.print(line)

    def list(self, lines: Sequence[str]) -> None:
        """Lines that stay on the screen, above those of the stages."""
        for line in lines:
            self._console.print(Text(line))

    def finish(self, name: str, status: str, artifact: str, seconds: float) -> None:
        """The stage's last word."""
        self._to_come.pop(name, None)
        line = self._line(name, status, artifact + (f"  {seconds:.1f} s" if seconds >= 0.05 else ""))
        self._done.append(line)
        if self._live:
            self._live.update(Text("\n").join(self._done), refresh=True)
        else:
            self._console.print(line)

    def _left(self, name: str, found: Progress, now: float) -> str:
        """`, 35 s left, 4 min with what follows`, as far as it is known."""
        own = found.seconds_left
        if own is None and (before := self._to_come.get(name)) is not None:
            own = max(0.0, before - (now - self._started))
        if own is None:
            return ""
        others = [seconds for other, seconds in self._to_come.items() if other != name]
        if not others:
            return f", {told(own)} left"
        least = "at least " if None in others else ""
        return f", {told(own)} left, {least}{told(own + sum(s for s in others if s))} with what follows"

    def _line(self, name: str, status: str, rest: str) -> Text:
        styles = {"failed": "red", "running": "yellow", "stopped": "yellow", "cached": "dim"}
        return Text.assemble(
            name.ljust(self._width + 2), (status.ljust(9), styles.get(status, "green")), rest
        )


def progress(metrics: Path, since: float = 0.0) -> Progress:
    """`step 120/250, loss 1.83` from the newest line of metrics.jsonl, and its first for the total.

    Args:
        metrics: the file.
        since: seconds since the epoch; the speed is that of the newest lines written after it.
    """
    rows = newest_rows(metrics)
    if not rows:
        return Progress("preparing")
    row, total = rows[-1], total_steps(metrics)
    step = f"step {row['step']}" + (f"/{total}" if total else "")
    named = next((name for name in SHOWN_METRICS if isinstance(row.get(name), int | float)), None)
    text = f"{step}, {SHOWN_METRICS[named]} {row[named]:.3g}" if named else step
    if not total:
        return Progress(text)
    return Progress(text, min(1.0, row["step"] / total), _seconds_left(rows, total, since))


def _seconds_left(rows: Sequence[Mapping[str, Any]], total: int, since: float) -> float | None:
    """At the speed of these lines, oldest first; None where they tell none."""
    fresh = [row for row in rows if row.get("time", 0.0) >= since]
    if len(fresh) < 2 or fresh[-1]["step"] <= fresh[0]["step"]:
        return None
    pace = (fresh[-1]["time"] - fresh[0]["time"]) / (fresh[-1]["step"] - fresh[0]["step"])
    return float(max(0, total - fresh[-1]["step"]) * pace)


def told(seconds: float) -> str:
    """`42 s`, `18 min`, `2.1 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def total_steps(path: Path) -> int | None:
    """How many steps there will be, as a training stage logs it before the first."""
    with path.open("rb") as stream:
        rows = _rows(stream.read(TAIL_BYTES))
    return next((int(row[TOTAL_STEPS]) for row in rows if TOTAL_STEPS in row), None)


def newest_rows(path: Path) -> list[dict[str, Any]]:
    """The newest whole lines of a JSON-lines file, oldest first, read from its end; empty without any."""
    if not path.exists():
        return []
    with path.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
        return _rows(stream.read())


def _rows(block: bytes) -> list[dict[str, Any]]:
    """The whole lines of a block cut out of a JSON-lines file."""
    found = []
    for line in block.split(b"\n")[:-1]:
        try:
            row = json.loads(line)
        except ValueError:  # its beginning was cut off
            continue
        if isinstance(row, dict):
            found.append(row)
    return found
