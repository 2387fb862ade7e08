"""Hosts: one run on several machines: node 0 plans, locks and commits, the others lend it their processes.

The same command starts on every host. Node 0 listens; the others say who they are, prove that they see node
0's outputs folder by reading a token from it, and that they planned the same. Node 0 then sends every job
that takes processes of all hosts, and last of all how the run ended.

Writes  outputs/hosts/<token>, while hosts are joining
"""

import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align.artifacts.durable import write_text
from align.config.problem import ConfigError, Problem
from align.pipeline.channel import Channel
from align.pipeline.launch_spec import HostsLauncher
from align.pipeline.plan import Planned
from align.pipeline.run import Run

FOLDER = "hosts"
POLL_SECONDS = 0.1
FAREWELL_SECONDS = 5  # for the other hosts to hear how the run ended
NODE_RANK = ("launcher", "node_rank")


@dataclass(frozen=True)
class Member:
    """Another host that takes part."""

    rank: int
    name: str
    channel: Channel

    def __str__(self) -> str:
        return f"host {self.rank} ({self.name})"


class Hosts:
    """Node 0's channels to all other hosts."""

    def __init__(self, launcher: HostsLauncher, count: int, outputs: Path) -> None:
        self.launcher = launcher
        self.count = count
        self.members: list[Member] = []
        self._outputs = outputs.resolve()
        self._strangers: list[Channel] = []

    def gather(self, plan: Sequence[Planned], tell: Callable[[str], None]) -> None:
        """Wait until every host is there and agrees with the plan.

        Raises:
            ConfigError: one is missing, does not see the outputs folder, or planned something else.
        """
        token, secret = secrets.token_hex(8), secrets.token_hex(16)
        path = self._outputs / FOLDER / token
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, secret)
        deadline = time.monotonic() + self.launcher.join_seconds
        told = 0.0
        try:
            with _listening(self.launcher.port) as door:
                while len(self.members) < self.count - 1:
                    self._let_in(door, token)
                    self._greet(secret, identities(plan))
                    if time.monotonic() > deadline:
                        raise ConfigError([Problem(("launcher",), self._missing())])
                    if time.monotonic() - told > 30:
                        told = time.monotonic()
                        tell(f"node 0 waits for {self._absent()} on port {self.launcher.port}")
                    time.sleep(POLL_SECONDS)
        finally:
            path.unlink(missing_ok=True)
        self.members.sort(key=lambda member: member.rank)
        tell(f"all {self.count} hosts are there: node 0, {', '.join(str(item) for item in self.members)}")

    def tell_all(self, kind: str, **content: Any) -> None:
        """Send a message to every host."""
        for member in self.members:
            member.channel.send(kind, **content)

    def end(self, code: int, message: str) -> None:
        """Tell everybody how the run ended, those too that were not let in yet."""
        channels = [*(member.channel for member in self.members), *self._strangers]
        for channel in channels:
            channel.send("end", code=code, message=message)
        deadline = time.monotonic() + FAREWELL_SECONDS
        for channel in channels:
            channel.close(max(0.0, deadline - time.monotonic()))

    def _let_in(self, door: socket.socket, token: str) -> None:
        try:
            connection, _ = door.accept()
        except BlockingIOError:
            return
        channel = Channel(connection, self.launcher.silence_seconds)
        channel.send("token", name=token, outputs=str(self._outputs), host=socket.gethostname())
        self._strangers.append(channel)

    def _greet(self, secret: str, plan: Mapping[str, str]) -> None:
        for channel in list(self._strangers):
            hello = channel.receive()
            if hello is None or not {"rank", "host"} <= hello.keys():  # nothing yet, or not one of ours
                if channel.trouble:
                    self._strangers.remove(channel)
                continue
            if problem := self._problem(hello, secret, plan):
                raise ConfigError([problem])
            self._strangers.remove(channel)
            self.members.append(Member(hello["rank"], hello["host"], channel))
            channel.send("welcome")

    def _problem(self, hello: Mapping[str, Any], secret: str, plan: Mapping[str, str]) -> Problem | None:
        if hello["kind"] == "end":
            return Problem((), f"host {hello['rank']} ({hello['host']}): {hello['message']}")
        rank, name = hello["rank"], hello["host"]
        if not 0 < rank < self.count or hello["hosts"] != self.count:
            there = f"node_rank {rank} of {hello['hosts']} hosts"
            return Problem(NODE_RANK, f"{name} takes itself for {there}, here there are {self.count}")
        if twin := next((member for member in self.members if member.rank == rank), None):
            return Problem(NODE_RANK, f"{rank} was given to two hosts, {twin.name} and {name}")
        if hello["secret"] != secret:
            return Problem(("paths", "outputs"), unshared(rank, name, hello["outputs"], str(self._outputs)))
        for stage, own in plan.items():
            if hello["plan"].get(stage) != own:
                other = hello["plan"].get(stage, "no such stage")
                return Problem(
                    ("stages", stage),
                    f"host {rank} ({name}) plans another one ({other}, here {own}); give every host the same "
                    "options, code and data",
                )
        return None

    def _absent(self) -> str:
        there = {member.rank for member in self.members}
        return ", ".join(f"host {rank}" for rank in range(1, self.count) if rank not in there)

    def _missing(self) -> str:
        return (
            f"{self._absent()} did not join within {self.launcher.join_seconds:g} s "
            "(launcher.join_seconds); start the same command there with launcher.node_rank=<number> and "
            f"launcher.address={self.launcher.address}, and let port {self.launcher.port} through"
        )


def identities(plan: Sequence[Planned]) -> dict[str, str]:
    """Stage -> what every host must agree on."""
    return {item.name: f"{item.stage.kind}-{item.fingerprint}" for item in plan}


def hosts_of(run: Run) -> Hosts | None:
    """What node 0 needs where several hosts take part; None on a single host, or another one."""
    meeting = run.launcher.meeting
    if meeting is None or meeting.node_rank or run.hardware.hosts == 1:
        return None
    return Hosts(meeting, run.hardware.hosts, run.paths.outputs)


def unshared(rank: int, name: str, there: str, here: str) -> str:
    """What to say of a host that does not see node 0's outputs."""
    return (
        f"host {rank} ({name}) has {there}, which is not node 0's {here}; every host must see the same "
        "folder at the same place"
    )


def _listening(port: int) -> socket.socket:
    """A socket that hosts can connect to; on every address, for a name may resolve to a loopback here."""
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the last run's connections may linger
    try:
        door.bind(("", port))
    except OSError as cause:
        door.close()
        taken = f"{port} cannot be listened on ({cause.strerror}); give all hosts another one"
        raise ConfigError([Problem(("launcher", "port"), taken)]) from None
    door.listen()
    door.setblocking(False)
    return door
