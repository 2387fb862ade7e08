"""Lead: node 0's launcher, whose process groups span all hosts of a run."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter

from align.pipeline.hosts import POLL_SECONDS, Hosts, Member
from align.pipeline.interface import interface_of
from align.pipeline.job import Job, Outcome
from align.pipeline.launcher import Launcher, Layout
from align.pipeline.stopping import StopSignals

SETTLE_SECONDS = 15.0  # after the first bad news the others may still say why
FINISH_SECONDS = 300.0  # torchrun's agents wait that long for one another
PORTS = 100  # above launcher.port, taken in turn: one that was just used may still be busy
# Of several outcomes, which speaks for the stage; who misses another host has nothing to say about the cause.
WEIGHT = {"refused": 0, "starved": 1, "failed": 2, "stopped": 3, "abandoned": 4}
TROUBLE = WEIGHT.keys() - {"stopped"}


class _Unfinished(Exception):
    """Another host is in trouble, and this one's processes would wait for it."""


@dataclass
class _Group:
    """What the other hosts said about one job."""

    number: int
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    trouble_since: float | None = None


class LeadingLauncher(Launcher):
    """Starts a stage's processes on all hosts; a stage of one process runs on node 0 alone."""

    def __init__(
        self, accelerator: Literal["cpu", "cuda"], signals: StopSignals, grace_seconds: float, hosts: Hosts
    ) -> None:
        super().__init__(accelerator, signals, grace_seconds)
        self._hosts = hosts
        self._groups = 0

    def perform(self, job: Job, layout: Layout, watch: Callable[[], None]) -> Outcome:
        """Have all hosts do the job; what one of them could not do, none has done."""
        if layout.ranks == 1:
            return super().perform(job, layout, watch)
        self._groups += 1
        group = _Group(self._groups)
        meeting: dict[str, Any] = {
            "ranks": layout.ranks,
            "grouped": layout.grouped,
            "hosts": self._hosts.count,
            "address": self._hosts.launcher.address,
            "port": self._port(),
        }
        self._hosts.tell_all("job", number=group.number, layout=meeting, job=_as_json(job))
        here = self._hosts.members[0].channel.here

        def watch_all() -> None:
            watch()
            self._listen(group)
            if group.trouble_since is not None and time.monotonic() - group.trouble_since > SETTLE_SECONDS:
                raise _Unfinished

        try:
            own = super().perform(job, replace(layout, **meeting, interface=interface_of(here)), watch_all)
        except _Unfinished:
            self.stop()
            own = Outcome(state="abandoned", messages=("stopped by node 0",))
        self._conclude(group, own)
        return _together(own, self._hosts.members, group.outcomes)

    def _conclude(self, group: _Group, own: Outcome) -> None:
        """Wait for what the other hosts have to say; they are stopped when this one failed."""
        deadline = time.monotonic() + (SETTLE_SECONDS if own.state in TROUBLE else FINISH_SECONDS)
        while len(group.outcomes) < len(self._hosts.members):
            self._listen(group)
            if time.monotonic() > deadline:
                self._hosts.tell_all("stop", number=group.number)
                for member in self._hosts.members:
                    late = Outcome(state="abandoned", messages=("stopped by node 0, for it did not end",))
                    group.outcomes.setdefault(member.rank, late)
            time.sleep(POLL_SECONDS)

    def _listen(self, group: _Group) -> None:
        for member in self._hosts.members:
            if member.rank in group.outcomes:
                continue
            outcome = _said(member, group.number)
            if outcome is not None:
                group.outcomes[member.rank] = outcome
                if outcome.state in TROUBLE and group.trouble_since is None:
                    group.trouble_since = time.monotonic()

    def _port(self) -> int:
        """The next port of the range that nobody listens on."""
        first = self._hosts.launcher.port + 1
        for step in range(PORTS):
            port = first + (self._groups - 1 + step) % PORTS
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("", port))
                except OSError:
                    continue
            return port
        raise RuntimeError(f"ports {first} to {first + PORTS - 1} are all in use; set launcher.port")


def _said(member: Member, number: int) -> Outcome | None:
    """What a host says about the job, or what is to be said of it."""
    message = member.channel.receive()
    if message is None:
        trouble = member.channel.trouble
        return Outcome(state="failed", messages=(f"it {trouble}",)) if trouble else None
    if message["kind"] == "end":
        return Outcome(state="failed", messages=(message["message"],))
    if message["kind"] != "outcome" or message["number"] != number:
        return None  # about an earlier job
    return Outcome(state=message["state"], messages=tuple(message["messages"]), rank=message["rank"])


def _together(own: Outcome, members: list[Member], others: dict[int, Outcome]) -> Outcome:
    """One outcome for all hosts: done where all are, else the bad ones with the cause first."""
    said = [own]
    for member in members:
        outcome = others[member.rank]
        said.append(replace(outcome, messages=tuple(f"{member}: {line}" for line in outcome.messages)))
    bad = [outcome for outcome in said if outcome.state != "done"]
    if not bad:
        return own
    bad.sort(key=lambda outcome: WEIGHT[outcome.state])
    if bad[0].state == "stopped":
        return bad[0]
    return replace(bad[0], messages=tuple(line for outcome in bad for line in outcome.messages))


def _as_json(job: Job) -> object:
    return TypeAdapter(Job).dump_python(job, mode="json")
