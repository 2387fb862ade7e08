"""Stages on two processes under the sections of conf/parallel: one launch for many cases.

A launch costs as long as several cases, so every process goes through all cases of a list, one after the
other, as a worker goes through its jobs.
"""

import json
import os
import shutil
import socket
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
import yaml
from pydantic import TypeAdapter

from align.artifacts.checkpoint import MANIFEST
from align.artifacts.store import ArtifactDir
from align.config.resources import Hardware, Parallel, StageResources
from align.runtime import group
from align.runtime.processes import join_group, leave_group, rank, start_afresh
from align.stages import AnyStage
from align.stages.stage import RunSettings, StageIO

CONF = Path(__file__).parents[2] / "conf" / "parallel"


@dataclass(frozen=True)
class Case:
    """One stage to run: what it is, how its model is shared, and where it writes."""

    name: str
    stage: dict[str, Any]
    parallel: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    resumes: tuple[str, int] | None = None  # an earlier case, and the checkpoint of it to go on from

    def io(self, outputs: Path, devices: int) -> StageIO:
        section = None if self.parallel is None else section_of(self.parallel)
        return StageIO(
            name=self.name,
            inputs={},
            output=ArtifactDir(outputs / self.name),
            outputs=outputs,
            resources=StageResources(parallel=section, micro_batch=2, **self.resources),
            settings=RunSettings(
                hardware=Hardware(name="cpu", accelerator="cpu", memory_gib=8, devices=devices),
                **{"log_every_steps": 1, **self.settings},
            ),
        )


def section_of(name: str) -> Parallel:
    """An option of the group `parallel`, as it is composed."""
    return TypeAdapter(Parallel).validate_python(yaml.safe_load((CONF / f"{name}.yaml").read_text()))


def perform(case: Case, outputs: Path, devices: int) -> str | None:
    """Run a case; what went wrong, or None."""
    environment = dict(os.environ)
    stage = TypeAdapter(AnyStage).validate_python(case.stage)
    if case.resumes is not None:
        if rank() == 0:
            interrupt(outputs / case.resumes[0], outputs / case.name, case.resumes[1])
        group.wait()
    try:
        start_afresh(stage.seed)
        stage.run(case.io(outputs, devices))
    except Exception as problem:
        traceback.print_exc()
        return f"{type(problem).__name__}: {problem}"
    finally:
        os.environ.clear()
        os.environ.update(environment)
    return None


def interrupt(finished: Path, copy: Path, step: int) -> None:
    """What a stage would have left behind had it been cut off after the checkpoint of a step."""
    shutil.copytree(finished, copy)
    shutil.rmtree(copy / "model")
    for checkpoint in (copy / "checkpoints").glob("checkpoint-*"):
        if int(checkpoint.name.rpartition("-")[2]) > step:
            shutil.rmtree(checkpoint)
            continue
        manifest = json.loads((checkpoint / MANIFEST).read_text())  # a copy has an owner of its own
        (checkpoint / MANIFEST).write_text(json.dumps({**manifest, "artifact": copy.name}))


def launch(cases: Sequence[Case], outputs: Path, devices: int = 2) -> dict[str, str | None]:
    """Run all cases on `devices` processes; what went wrong with each, on any of them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(_process, (cases, outputs, devices, port), nprocs=devices)
    found = [json.loads((outputs / f"said-{rank}.json").read_text()) for rank in range(devices)]
    return {case.name: next((said[case.name] for said in found if said[case.name]), None) for case in cases}


def _process(number: int, cases: Sequence[Case], outputs: Path, devices: int, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(devices)}
    os.environ |= {"LOCAL_WORLD_SIZE": str(devices), "DS_ACCELERATOR": "cpu"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    join_group("cpu")
    said = {case.name: perform(case, outputs, devices) for case in cases}
    (outputs / f"said-{number}.json").write_text(json.dumps(said))
    leave_group()
