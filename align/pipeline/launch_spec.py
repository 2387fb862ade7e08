"""Launch spec: the ways in which a stage gets its processes, as configuration. Never identity."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from align.config.spec import Bool, NonNegativeInt, Positive, PositiveInt, Spec

Port = Annotated[int, Field(ge=1024, le=65000, strict=True)]
Word = Annotated[str, Field(pattern=r"^\S+$")]


@dataclass(frozen=True, kw_only=True)
class Launcher(Spec):
    """What every way of launching has in common: how long a process waits for another one."""

    timeout_minutes: Positive = 10

    @property
    def meeting(self) -> "HostsLauncher | None":
        """Where and how this host meets the others; None where there is one only, or none yet."""
        return None

    @property
    def node_rank_here(self) -> int:
        """This host's number among those of the run; 0 alone plans, locks and writes."""
        return self.meeting.node_rank if self.meeting else 0


@dataclass(frozen=True, kw_only=True)
class InlineLauncher(Launcher):
    """One warm child process."""

    kind: Literal["inline"]


@dataclass(frozen=True, kw_only=True)
class TorchrunLauncher(Launcher):
    """One process per device of this host."""

    kind: Literal["torchrun"]


@dataclass(frozen=True, kw_only=True)
class Gathering(Launcher):
    """How several hosts find one another.

    Node 0 listens on `port`; the process groups of its stages use the hundred ports above. `join_seconds` is
    how long the hosts wait for one another at the start. A host that was not heard of for `silence_seconds`
    counts as lost.
    """

    port: Port = 29700
    join_seconds: Positive = 600
    silence_seconds: Positive = 60


@dataclass(frozen=True, kw_only=True)
class HostsLauncher(Gathering):
    """The same command on every host, each with its own `node_rank`; `address` is node 0's."""

    kind: Literal["hosts"] = "hosts"
    node_rank: NonNegativeInt
    address: Word

    @property
    def meeting(self) -> "HostsLauncher | None":
        """As configured."""
        return self


@dataclass(frozen=True, kw_only=True)
class SlurmLauncher(Gathering):
    """A script for sbatch that runs the same command on every node, with `node_rank` and `address`.

    `options` are further options of sbatch, `setup` shell lines that come before the command. The job is told
    `save_seconds` before its time limit to save itself, and then queued again. With `submit: false` the
    script is written and shown, and that is all.
    """

    kind: Literal["slurm"]
    submit: Bool = True
    partition: Word | None = None
    account: Word | None = None
    time: Word | None = None
    cpus_per_node: PositiveInt | None = None
    save_seconds: PositiveInt = 120
    options: tuple[Annotated[str, Field(pattern=r"^--?[^\n]+$")], ...] = ()
    setup: tuple[str, ...] = ()
    node_rank: NonNegativeInt | None = None
    address: Word | None = None

    def __post_init__(self) -> None:
        if (self.node_rank is None) != (self.address is None):
            raise ValueError("node_rank: goes with address; the batch script sets both, leave them out here")

    @property
    def meeting(self) -> HostsLauncher | None:
        """Inside the job, what its script says; None on the login node."""
        if self.node_rank is None or self.address is None:
            return None
        return HostsLauncher(
            node_rank=self.node_rank,
            address=self.address,
            port=self.port,
            join_seconds=self.join_seconds,
            silence_seconds=self.silence_seconds,
        )


AnyLauncher = Annotated[
    InlineLauncher | TorchrunLauncher | HostsLauncher | SlurmLauncher, Field(discriminator="kind")
]
