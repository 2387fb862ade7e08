"""Launch spec: the ways in which a stage gets its processes, as configuration. Never identity."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from align.config.spec import NonNegativeInt, Positive, Spec

Port = Annotated[int, Field(ge=1024, le=65000, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Launcher(Spec):
    """What every way of launching has in common."""

    @property
    def node_rank_here(self) -> int:
        """This host's number among those of the run; 0 alone plans, locks and writes."""
        return 0


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

    kind: Literal["hosts"]
    node_rank: NonNegativeInt
    address: str

    @property
    def node_rank_here(self) -> int:
        """This host's number."""
        return self.node_rank


AnyLauncher = Annotated[InlineLauncher | TorchrunLauncher | HostsLauncher, Field(discriminator="kind")]
