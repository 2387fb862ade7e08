"""Follow: what every host but node 0 does: join, start processes when asked to, end as node 0 ends."""

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console

from align.artifacts.store import ArtifactDir
from align.config.problem import ConfigError, Problem
from align.pipeline.channel import Channel
from align.pipeline.hosts import FOLDER, POLL_SECONDS, identities, unshared
from align.pipeline.interface import interface_of
from align.pipeline.job import Job, Outcome
from align.pipeline.launcher import Launcher, Layout
from align.pipeline.live import Board, progress
from align.pipeline.plan import Planned
from align.pipeline.run import Run
from align.pipeline.stopping import StopSignals

SEEN_SECONDS = 30.0  # a network file system may show a new file that late
RETRY_SECONDS = 0.5
LOST = 1  # exit code where node 0 could not say its own


class EndedElsewhere(RuntimeError):
    """Node 0 ended the run other than well; `code` is its exit code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Stopped(Exception):
    """The job that runs here is not wanted any more."""


def follow(run: Run, plan: Sequence[Planned], console: Console, signals: StopSignals) -> None:
    """Take part in node 0's run until it is over; raises as `Follower.follow`."""
    with Board([item.name for item in plan], console) as board:
        Follower(run, console.print, signals).follow(plan, board)


class Follower:
    """One host that follows node 0."""

    def __init__(self, run: Run, tell: Callable[[str], None], signals: StopSignals) -> None:
        assert run.launcher.meeting is not None
        self._signals = signals
        self._run = run
        self._launcher = run.launcher.meeting
        self._tell = tell
        self._outputs = run.paths.outputs.resolve()
        self._own: dict[str, Any] = {"rank": self._launcher.node_rank, "host": socket.gethostname()}

    def follow(self, plan: Sequence[Planned], board: Board) -> None:
        """Take part until node 0 says that the run is over.

        Raises:
            ConfigError: node 0 was not found, or its outputs folder is not this host's.
            EndedElsewhere: node 0 failed, refused or is gone.
        """
        channel = self._connect()
        try:
            self._join(channel, plan)
            grace = self._run.checkpoints.grace_seconds
            with Launcher(self._run.hardware.accelerator, self._signals, grace) as launcher:
                while (message := self._next(channel))["kind"] != "end":
                    if message["kind"] == "job":
                        self._work(channel, message, launcher, board)
        except BaseException as problem:
            channel.send("end", message=str(problem) or "interrupted", **self._own)
            raise
        finally:
            channel.close()

    def _connect(self) -> Channel:
        address, port, limit = self._launcher.address, self._launcher.port, self._launcher.join_seconds
        self._tell(f"host {self._launcher.node_rank} joins node 0 at {address}, port {port}")
        deadline = time.monotonic() + limit
        while True:
            try:
                connection = socket.create_connection((address, port), timeout=5)
                return Channel(connection, self._launcher.silence_seconds)
            except OSError as cause:
                if time.monotonic() > deadline:
                    absent = (
                        f"node 0 was not reached at {address}, port {port}, within {limit:g} s ({cause}); "
                        "start the same command there with launcher.node_rank=0"
                    )
                    raise ConfigError([Problem(("launcher", "address"), absent)]) from None
                time.sleep(RETRY_SECONDS)

    def _join(self, channel: Channel, plan: Sequence[Planned]) -> None:
        token = self._next(channel)
        secret = self._seen(token["name"]) if token["outputs"] == str(self._outputs) else None
        channel.send(
            "hello",
            hosts=self._run.hardware.hosts,
            outputs=str(self._outputs),
            secret=secret,
            plan=identities(plan),
            **self._own,
        )
        if secret is None:
            words = unshared(
                self._launcher.node_rank, self._own["host"], str(self._outputs), token["outputs"]
            )
            raise ConfigError([Problem(("paths", "outputs"), words)])

    def _seen(self, name: str) -> str | None:
        """The content of node 0's token, None where it does not come into sight."""
        path = self._outputs / FOLDER / Path(name).name
        deadline = time.monotonic() + min(SEEN_SECONDS, self._launcher.silence_seconds)
        while not path.exists():
            if time.monotonic() > deadline:
                return None
            time.sleep(POLL_SECONDS)
        return path.read_text(encoding="utf-8")

    def _next(self, channel: Channel) -> dict[str, Any]:
        """The next message; that the run is over is one only where it ended well."""
        while (message := channel.receive()) is None:
            self._require(channel)
            time.sleep(POLL_SECONDS)
        return _heeded(message)

    def _require(self, channel: Channel) -> None:
        if trouble := channel.trouble:
            raise EndedElsewhere(LOST, f"node 0 ({channel.there}) {trouble}")

    def _work(self, channel: Channel, message: dict[str, Any], launcher: Launcher, board: Board) -> None:
        job = TypeAdapter(Job).validate_python(message["job"])
        (stage,) = job.stages
        layout = Layout(
            **message["layout"], node_rank=self._launcher.node_rank, interface=interface_of(channel.here)
        )
        started = time.time()
        board.start(stage.name)

        def watch() -> None:
            board.show(stage.name, progress(ArtifactDir(stage.output).metrics, started))
            self._require(channel)
            word = channel.receive()
            if word is not None and _heeded(word)["kind"] == "stop":
                raise _Stopped

        try:
            outcome = launcher.perform(job, layout, watch)
        except _Stopped:
            launcher.stop()
            outcome = Outcome(state="abandoned", messages=("stopped by node 0",))
        channel.send("outcome", number=message["number"], **asdict(outcome))
        status = {"done": "ran", "stopped": "stopped"}.get(outcome.state, "failed")
        board.finish(stage.name, status, stage.output.name, time.time() - started)


def _heeded(message: dict[str, Any]) -> dict[str, Any]:
    if message["kind"] == "end" and message["code"]:
        raise EndedElsewhere(message["code"], f"node 0: {message['message']}")
    return message
