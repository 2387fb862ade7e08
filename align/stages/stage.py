"""What a stage is: a frozen description that can check itself and run."""

from typing import ClassVar, Protocol

from align.config.spec import REFERENCE_PREFIX
from align.runtime.stage_io import RunSettings, StageIO

__all__ = ["REFERENCE_PREFIX", "RunSettings", "Stage", "StageIO"]


class Stage(Protocol):
    """One step of a pipeline, a frozen dataclass: its fields are identity, `run` is behaviour."""

    kind: str
    version: ClassVar[int]  # raise when the same spec would now give a different result

    def check(self, io: StageIO) -> list[str]:
        """Problems that would stop this stage, empty when ready; in a child, without weights."""
        ...

    def run(self, io: StageIO) -> None:
        """Read `io.inputs`, write `io.output`."""
        ...
