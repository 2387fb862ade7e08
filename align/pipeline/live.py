"""Live: one line per stage while a pipeline runs; redrawn on a terminal, plain lines elsewhere."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from align.artifacts.metrics import TOTAL_STEPS

PLAIN_EVERY_SECONDS = 30
TAIL_BYTES = 4096
WIDTH = 160
SHOWN_METRICS = {"objective/score": "score", "policy/loss": "loss", "reward_model/loss": "loss"}


def screen() -> Console:
    """Standard output as this terminal has it, or wide enough for tables where there is none."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=WIDTH)


class Board:
    """The lines of one run. `close` before printing anything else."""

    def __init__(self, stages: Sequence[str], console: Console) -> None:
        self._console = console
        self._width = max((len(name) for name in stages), default=0)
        self._done: list[Text] = []
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._started = self._told = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def start(self, name: str) -> None:
        """A stage begins: its seconds count from here."""
        self._started = self._told = time.monotonic()
        self.show(name, "starting")

    def show(self, name: str, doing: str, *, at_once: bool = False) -> None:
        """What the stage does right now; without a terminal a line appears now and then, or `at_once`."""
        now = time.monotonic()
        line = self._line(name, "running", f"{doing}, {now - self._started:.0f} s")
        if self._live:
            self._live.update(Text("\n").join([*self._done, line]), refresh=True)
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
        line = self._line(name, status, artifact + (f"  {seconds:.1f} s" if seconds >= 0.05 else ""))
        self._done.append(line)
        if self._live:
            self._live.update(Text("\n").join(self._done), refresh=True)
        else:
            self._console.print(line)

    def _line(self, name: str, status: str, rest: str) -> Text:
        styles = {"failed": "red", "running": "yellow", "stopped": "yellow", "cached": "dim"}
        return Text.assemble(
            name.ljust(self._width + 2), (status.ljust(9), styles.get(status, "green")), rest
        )


def progress(metrics: Path) -> str:
    """`step 120/250, loss 1.83` from the newest line of metrics.jsonl, and its first for the total."""
    row = last_row(metrics)
    if row is None:
        return "preparing"
    total = total_steps(metrics)
    step = f"step {row['step']}" + (f"/{total}" if total else "")
    named = next((name for name in SHOWN_METRICS if isinstance(row.get(name), int | float)), None)
    return f"{step}, {SHOWN_METRICS[named]} {row[named]:.3g}" if named else step


def total_steps(path: Path) -> int | None:
    """How many steps there will be, as a training stage logs it before the first."""
    with path.open("rb") as stream:
        rows = _rows(stream.read(TAIL_BYTES))
    return next((int(row[TOTAL_STEPS]) for row in rows if TOTAL_STEPS in row), None)


def last_row(path: Path) -> dict[str, Any] | None:
    """The newest whole line of a JSON-lines file, read from its end."""
    if not path.exists():
        return None
    with path.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
        rows = _rows(stream.read())
    return rows[-1] if rows else None


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
