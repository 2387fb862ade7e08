"""Redrawn: a part of the terminal that is drawn anew as it changes; elsewhere there is none."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live


class Redrawn:
    """What is shown while it is entered; `_live` is None where the console is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
