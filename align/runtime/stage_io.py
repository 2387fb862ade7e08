"""What the runner hands a stage: where to read, where to write, what machine it has. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align.artifacts.store import ArtifactDir
from align.config.resources import BatchSplit, Hardware, StageResources, split
from align.config.spec import REFERENCE_PREFIX
from align.data.screening.findings import Finding


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Logistics that are the same for every stage of a run."""

    hardware: Hardware
    save_every_steps: int | None = None
    save_every_minutes: float | None = 20
    keep_checkpoints: int = 2
    universal_checkpoints: bool = False
    log_every_steps: int = 10
    trackers: tuple[str, ...] = ()
    timeout_minutes: float = 10.0


@dataclass(frozen=True, kw_only=True)
class StageIO:
    """What the runner hands a stage: where to read, where to write, what machine it has.

    `inputs` maps the referenced stage names to their artifacts (in a check they may not be complete yet).
    `outputs` is the root of everything written (artifacts, generated data, cached completions). In a check
    `planned` has the stages that are to be built, each with its own places, and `findings` takes what does
    not stop them.
    """

    name: str
    inputs: Mapping[str, ArtifactDir]
    output: ArtifactDir
    outputs: Path
    resources: StageResources
    settings: RunSettings
    planned: Mapping[str, tuple[Any, "StageIO"]] = field(default_factory=dict)
    findings: list[tuple[str, Finding]] = field(default_factory=list)

    def warn(self, place: str, message: str) -> None:
        """Note something about a field that does not stop the stage."""
        self.findings.append((place, Finding("", message, "keep", "")))

    def locate(self, reference: str) -> str:
        """`stage:sft` -> the folder of that artifact's model; anything else (a path, a Hub id) as it is."""
        if reference.startswith(REFERENCE_PREFIX):
            return str(self.inputs[reference.removeprefix(REFERENCE_PREFIX)].model)
        return reference

    def split(self, batch_size: int, row_tokens: int | None = None) -> BatchSplit:
        """Spread the stage's global batch, of rows of up to `row_tokens`, over this run's devices."""
        devices = self.settings.hardware.devices * self.settings.hardware.hosts
        return split(batch_size, devices, self.resources.micro_batch, row_tokens)
