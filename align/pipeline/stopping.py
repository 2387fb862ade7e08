"""Stopping: SIGTERM and SIGUSR2, as schedulers send them before they take a machine away.

A run that is asked to stop has its stage save itself and exits with 75, EX_TEMPFAIL of sysexits.h: try again.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
TRY_AGAIN = 75  # exit code of a run that was stopped and saved itself


class StopRequested(Exception):
    """The run was asked to stop; the message is for the user."""


class StopSignals:
    """Within the context, a signal to stop raises StopRequested, or waits where stopping is put off."""

    def __init__(self) -> None:
        self._received: signal.Signals | None = None
        self._is_put_off = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def received(self) -> str:
        """The name of the signal that came, empty while none has."""
        return "" if self._received is None else self._received.name

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Do not raise inside; who is inside looks at `received`."""
        self._is_put_off = True
        try:
            yield
        finally:
            self._is_put_off = False

    def raise_if_received(self) -> None:
        """Raise what was put off.

        Raises:
            StopRequested: a signal came meanwhile.
        """
        if self._received is not None:
            raise StopRequested("nothing was under way")

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = signal.Signals(number)
        if not self._is_put_off:
            self.raise_if_received()
