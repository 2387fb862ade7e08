"""Job: what a worker is asked to do and what came of it, as JSON files between parent and child."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from align.artifacts.store import ArtifactDir
from align.config.resources import StageResources
from align.config.spec import Spec
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


@dataclass(frozen=True, kw_only=True)
class Outcome(Spec):
    """What one process of a worker has to say when it is done.

    `refused` means that the user can put it right: bad rows, a wrong option. `starved` means that memory ran
    out, `failed` everything else.
    """

    state: Literal["done", "refused", "starved", "failed"]
    messages: tuple[str, ...] = ()


_JOB = TypeAdapter(Job)
_OUTCOME = TypeAdapter(Outcome)


def write_job(job: Job, path: Path) -> None:
    """Write a job for a worker to read."""
    path.write_bytes(_JOB.dump_json(job, indent=2) + b"\n")


def read_job(path: Path) -> Job:
    """Read what `write_job` wrote."""
    return _JOB.validate_json(path.read_bytes())


def write_outcome(outcome: Outcome, job: Path, rank: int) -> None:
    """Write one rank's outcome beside its job, whole or not at all."""
    target = _outcome_path(job, rank)
    draft = target.with_suffix(".draft")
    draft.write_bytes(_OUTCOME.dump_json(outcome))
    os.replace(draft, target)


def read_outcome(job: Path, ranks: int, first: int = 0) -> Outcome | None:
    """The outcome of a job on one host: the first bad one, else its first rank's; None while there is none.

    Args:
        job: the job's file.
        ranks: processes on this host.
        first: the number of the first of them among those of all hosts.
    """
    found = list(_outcomes(job, range(first, first + ranks)))
    bad = [outcome for _, outcome in found if outcome.state != "done"]
    if bad:
        return bad[0]
    return next((outcome for rank, outcome in found if rank == first), None)


def _outcomes(job: Path, ranks: range) -> Iterator[tuple[int, Outcome]]:
    for rank in ranks:
        path = _outcome_path(job, rank)
        if path.exists():
            yield rank, _OUTCOME.validate_json(path.read_bytes())


def _outcome_path(job: Path, rank: int) -> Path:
    return job.with_suffix(f".outcome-{rank}.json")
