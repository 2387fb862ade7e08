"""Layout: which processes wrote a checkpoint, and whether those of this run can go on from it.

Every process writes a share of an engine's state, so DeepSpeed's checkpoints fit one number of processes and
one ZeRO stage. Hardware and parallelism are no part of a stage's identity: they may change between two runs.

Writes  layout.json, beside what a checkpoint holds
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from align.config.problem import ConfigError, Problem
from align.runtime.universal import convert

LAYOUT = "layout.json"


@dataclass(frozen=True)
class Layout:
    """The processes of a run. `zero_stage` is None without DeepSpeed."""

    ranks: int
    zero_stage: int | None

    def __str__(self) -> str:
        processes = "1 process" if self.ranks == 1 else f"{self.ranks} processes"
        sharing = "without DeepSpeed" if self.zero_stage is None else f"under ZeRO-{self.zero_stage}"
        return f"{processes} {sharing}"

    @property
    def is_sharded(self) -> bool:
        """Whether every process holds a share of the state."""
        return bool(self.zero_stage)

    def write(self, checkpoint: Path) -> None:
        """Leave word in a checkpoint, before it is sealed."""
        (checkpoint / LAYOUT).write_text(json.dumps(asdict(self)))

    def reads(self, other: "Layout") -> bool:
        """Whether it reads what `other` wrote as it is."""
        return self == other or (not self.is_sharded and self.zero_stage == other.zero_stage)


def written_by(checkpoint: Path) -> Layout | None:
    """Who wrote a checkpoint; None where it does not say."""
    file = checkpoint / LAYOUT
    return Layout(**json.loads(file.read_text())) if file.exists() else None


def readable(checkpoint: Path | None, layout: Layout, *, universal: bool) -> Path | None:
    """The folder to resume from: the checkpoint itself, or what it was converted to.

    Args:
        checkpoint: the newest whole one; None: there is none.
        layout: of this run.
        universal: whether what another layout wrote may be converted.

    Raises:
        ConfigError: it was written by a layout that this one cannot read.
    """
    written = None if checkpoint is None else written_by(checkpoint)
    if checkpoint is None or written is None or layout.reads(written):
        return checkpoint
    is_convertible = layout.is_sharded and written.is_sharded
    if universal and is_convertible:
        return convert(checkpoint)
    ways = ["set checkpoints.universal=true to convert it"] if is_convertible else []
    ways += ["resume with the hardware=... and parallel=... that wrote it", "start over with run.fresh"]
    told = f"{checkpoint.name} was written by {written}, and this run has {layout}; {', or '.join(ways)}"
    raise ConfigError([Problem((), told)])
