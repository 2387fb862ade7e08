"""Channel: messages between two hosts of one run, and the certainty that the other one is still there.

One TCP connection carries JSON objects, a line each. Both ends send a beat every few seconds, so that a host
that was killed is noticed at once (its connection closes), and one that lost power or its link after a while.
"""

import json
import queue
import socket
import threading
import time
from contextlib import suppress
from typing import Any

BEATS_PER_SILENCE = 6
LONGEST = 2**26  # bytes of one message
BEAT = "beat"


class Channel:
    """One end of a connection. `silence` is how many seconds the other end may say nothing."""

    def __init__(self, connection: socket.socket, silence: float) -> None:
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.here = str(connection.getsockname()[0])
        self.there = str(connection.getpeername()[0])
        self._connection = connection
        self._silence = silence
        self._received: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._heard = time.monotonic()
        self._is_closed = threading.Event()
        self._sending = threading.Lock()
        for work in (self._receive, self._beat):
            threading.Thread(target=work, name=f"channel-{work.__name__}", daemon=True).start()

    def send(self, kind: str, **content: Any) -> None:
        """Send a message; where the connection is gone, `trouble` says so afterwards."""
        line = json.dumps({"kind": kind, **content}).encode() + b"\n"
        try:
            with self._sending:
                self._connection.sendall(line)
        except OSError:
            self._is_closed.set()

    def receive(self) -> dict[str, Any] | None:
        """The next message, None where there is none yet."""
        try:
            return self._received.get_nowait()
        except queue.Empty:
            return None

    @property
    def trouble(self) -> str | None:
        """Why nothing more is to be expected, once all that was said has been received."""
        if self._is_closed.is_set():
            reason = "ended without a word"
        elif time.monotonic() - self._heard > self._silence:
            reason = f"was not heard of for {self._silence:g} s"
        else:
            return None
        return reason if self._received.empty() else None

    def close(self, patience: float = 0.0) -> None:
        """Hang up; wait up to `patience` seconds for the other end to have read everything and do so too."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
        self._is_closed.wait(patience)
        self._is_closed.set()
        with suppress(OSError):
            self._connection.close()

    def _receive(self) -> None:
        with suppress(OSError, ValueError, TypeError, KeyError), self._connection.makefile("rb") as stream:
            while line := stream.readline(LONGEST):
                message = json.loads(line)
                self._heard = time.monotonic()
                if message["kind"] != BEAT:
                    self._received.put(message)
        self._is_closed.set()

    def _beat(self) -> None:
        while not self._is_closed.wait(self._silence / BEATS_PER_SILENCE):
            self.send(BEAT)
