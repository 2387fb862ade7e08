"""Job: what a worker is asked to do and what came of it, as JSON files between parent and child."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from align.artifacts.durable import write_json
from align.artifacts.store import ArtifactDir
from align.config.resources import StageResources
from align.config.secret import masked
from align.config.spec import Spec
from align.data.screening.findings import Finding
from align.runtime.spec import BatchSpec
from align.stages import AnyStage
from align.stages.stage import RunSettings, StageIO


@dataclass(frozen=True, kw_only=True)
class StageJob(Spec):
    """One stage with all it needs to be checked or run: nothing else of the configuration is read."""

    name: str
    stage: AnyStage
    inputs: Mapping[str, Path]
    output: Path
    outputs: Path
    resources: StageResources
    settings: RunSettings

    def io(self) -> StageIO:
        """The places and the machine, as the stage sees them."""
        return StageIO(
            name=self.name,
            inputs={name: ArtifactDir(path) for name, path in self.inputs.items()},
            output=ArtifactDir(self.output),
            outputs=self.outputs,
            resources=self.resources,
            settings=self.settings,
        )


@dataclass(frozen=True, kw_only=True)
class Job(Spec):
    """Stages to check together, or one stage to run."""

    action: Literal["check", "run"]
    stages: tuple[StageJob, ...]

    @property
    def saves_itself(self) -> bool:
        """Whether it ends early in order when it is asked to."""
        return self.action == "run" and isinstance(self.stages[0].stage, BatchSpec)

    @property
    def stop_request(self) -> Path:
        """The file that asks it to."""
        return ArtifactDir(self.stages[0].output).stop_request


@dataclass(frozen=True, kw_only=True)
class Outcome(Spec):
    """What one process of a worker has to say when it is done.

    `refused` means that the user can put it right: bad rows, a wrong option. `starved` means that memory ran
    out, `abandoned` that other processes answer no more, `stopped` that it saved itself and ended as asked,
    `failed` everything else. `findings` of a check do not stop it: (dotted field, what is wrong there).
    """

    state: Literal["done", "refused", "starved", "failed", "abandoned", "stopped"]
    messages: tuple[str, ...] = ()
    findings: tuple[tuple[str, Finding], ...] = ()
    rank: int = 0


_JOB = TypeAdapter(Job)
_OUTCOME = TypeAdapter(Outcome)


def write_job(job: Job, path: Path) -> None:
    """Write a job for a worker to read."""
    path.write_bytes(_JOB.dump_json(job, indent=2) + b"\n")


def record_job(job: Job, path: Path) -> None:
    """Write a job for people to read and run again; credentials are masked."""
    write_json(path, masked(_JOB.dump_python(job, mode="json")))


def read_job(path: Path) -> Job:
    """Read what `write_job` wrote."""
    return _JOB.validate_json(path.read_bytes())


def write_outcome(outcome: Outcome, job: Path) -> None:
    """Write one rank's outcome beside its job, whole or not at all."""
    target = _outcome_path(job, outcome.rank)
    draft = target.with_suffix(".draft")
    draft.write_bytes(_OUTCOME.dump_json(outcome))
    os.replace(draft, target)


def read_outcomes(job: Path, ranks: range) -> dict[int, Outcome]:
    """What these ranks of a job have said so far."""
    paths = {rank: _outcome_path(job, rank) for rank in ranks}
    return {rank: _OUTCOME.validate_json(path.read_bytes()) for rank, path in paths.items() if path.exists()}


def _outcome_path(job: Path, rank: int) -> Path:
    return job.with_suffix(f".outcome-{rank}.json")
