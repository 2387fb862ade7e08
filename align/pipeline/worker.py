"""Worker: the child process of a pipeline; it reads jobs, checks or runs their stages, and writes outcomes.

python -m align.pipeline.worker --parent PID -           jobs named on standard input, one path per line
python -m align.pipeline.worker --parent PID --ranks 2 job.json      the same job on two processes
python -m align.pipeline.worker outputs/artifacts/dpo-4bfd51e3d392/stage.json --output /tmp/again
                                                         a finished stage once more, somewhere else
"""

import argparse
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Literal

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

from align.config.problem import ConfigError, Problem
from align.data.errors import DataError
from align.data.records import RowError
from align.data.screening.findings import Finding
from align.pipeline.job import Job, Outcome, StageJob, read_job, read_outcomes, write_outcome
from align.pipeline.memory import is_out_of_memory
from align.pipeline.stopping import TRY_AGAIN
from align.pipeline.verdict import is_abandoned, posthumous
from align.runtime.processes import (
    die_with_parent,
    join_group,
    leave_group,
    leave_stopping_to_parent,
    missing_devices,
    rank,
    start_afresh,
)
from align.runtime.saving import Stopped
from align.runtime.trackers import runs_ended
from align.stages import AnyStage
from align.stages.stage import StageIO

USER_ERRORS = (ConfigError, DataError, RowError)  # what the user can put right; anything else is a failure
MODULE = "align.pipeline.worker"
EXIT_CODES = {"done": 0, "failed": 1, "starved": 1, "abandoned": 1, "refused": 2, "stopped": TRY_AGAIN}
# One rank's death is the end of all: the others have nothing to wait for. Stopping is asked for by a file.
TORCHRUN = ("--shutdown_timeout", "3", "--signals_to_handle", "SIGINT,SIGHUP,SIGQUIT")


def main(argv: Sequence[str]) -> int:
    """Work through the jobs; the exit code is the last outcome's."""
    given = _arguments().parse_args(argv)
    if given.parent:
        leave_stopping_to_parent()
        die_with_parent(given.parent)
    if given.ranks:
        return _start_ranks(given)
    last = "done"
    for path in _paths(given.job):
        outcome = perform(path, given.output)
        if given.parent:
            write_outcome(outcome, path)
        else:  # called by hand
            sys.stderr.writelines(f"{line}\n" for line in outcome.messages)
        last = outcome.state
    leave_group()
    return EXIT_CODES[last]


def _start_ranks(given: argparse.Namespace) -> int:
    """Run the job on several processes; those that die without a word get an outcome all the same."""
    again = [] if given.output is None else ["--output", str(given.output)]
    group = [*_meeting(given), *TORCHRUN, "--nproc_per_node", str(given.ranks)]
    try:
        torchrun([*group, "-m", MODULE, "--parent", str(os.getpid()), *again, given.job])
    except ChildFailedError as problem:
        said = read_outcomes(Path(given.job), range(max(problem.failures) + 1))
        for number, failure in problem.failures.items():
            if number not in said:
                write_outcome(posthumous(failure.exitcode, number), Path(given.job))
        return 1
    return 0


def perform(path: Path, output: Path | None = None) -> Outcome:
    """Check or run what the job says, and turn whatever happens into an outcome."""
    job = read_job(path)
    environment = dict(os.environ)
    try:
        settings = job.stages[0].settings
        join_group(settings.hardware.accelerator, settings.timeout_minutes)
        if job.action == "check":
            found, findings = _checked(job)
            return Outcome(
                state="refused" if found else "done", messages=found, findings=findings, rank=rank()
            )
        for stage_job in job.stages:
            _run(stage_job if output is None else replace(stage_job, output=output))
        return Outcome(state="done", rank=rank())
    except Stopped as saved:
        return Outcome(state="stopped", messages=(str(saved),), rank=rank())
    except Exception as problem:  # the process boundary: everything becomes a message to the parent
        traceback.print_exc()
        return _bad_outcome(problem)
    finally:
        os.environ.clear()  # libraries leave settings behind, such as accelerate's mixed precision
        os.environ.update(environment)
        sys.stdout.flush()
        sys.stderr.flush()


def _device_problems(job: Job) -> list[str]:
    hardware = job.stages[0].settings.hardware
    if missing := missing_devices(hardware.accelerator, hardware.devices):
        shown = f"this host shows {hardware.devices - missing} CUDA devices"
        return [
            f"hardware.devices: {hardware.name} has {hardware.devices}, {shown}; choose another hardware=..."
        ]
    return []


def _checked(job: Job) -> tuple[tuple[str, ...], tuple[tuple[str, Finding], ...]]:
    """(what stops the stages, what is wrong with their data and does not), by dotted field."""
    if found := _device_problems(job):
        return tuple(found), ()
    planned: dict[str, tuple[AnyStage, StageIO]] = {}
    planned |= {item.name: (item.stage, replace(item.io(), planned=planned)) for item in job.stages}
    findings: list[tuple[str, Finding]] = []
    for name, (stage, io) in planned.items():
        names = {field.name for field in fields(stage)}
        found += [
            f"stages.{name}.{line}" if line.split(":")[0].split(".")[0] in names else f"stages.{name}: {line}"
            for line in stage.check(io)
        ]
        findings += [(f"stages.{name}.{field}", finding) for field, finding in io.findings]
    return tuple(found), tuple(findings)


def _run(job: StageJob) -> None:
    io = job.io()
    if io.output.is_complete:
        raise ConfigError([Problem((), f"{io.output.path} is finished; name another folder with --output")])
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(io.output.events)  # checkpoints/, the default, is not kept
    for name in ("TRACKIO_DIR", "WANDB_DIR"):  # not a home folder or where the command was typed
        os.environ.setdefault(name, str(io.outputs / "tracking"))
    if io.settings.trackers:
        (io.outputs / "tracking").mkdir(parents=True, exist_ok=True)
    with _logged_to(io.output.log / f"rank-{rank()}.txt"), runs_ended():
        start_afresh(job.stage.seed)
        job.stage.run(io)


def _bad_outcome(problem: Exception) -> Outcome:
    if isinstance(problem, USER_ERRORS):
        return Outcome(state="refused", messages=(str(problem),), rank=rank())
    state: Literal["starved", "abandoned", "failed"] = "failed"
    if is_out_of_memory(problem):
        state = "starved"
    elif is_abandoned(problem):
        state = "abandoned"
    return Outcome(state=state, messages=(f"{type(problem).__name__}: {problem}",), rank=rank())


def _paths(given: str) -> Iterator[Path]:
    """The one job named on the command line, or those that arrive on standard input."""
    if given != "-":
        yield Path(given)
    else:
        yield from (Path(line.rstrip("\n")) for line in sys.stdin)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    parser.add_argument(
        "job", help="a job file, such as an artifact's stage.json; - reads paths from standard input"
    )
    parser.add_argument("--output", type=Path, help="write to this folder instead of the one the job names")
    parser.add_argument("--ranks", type=int, help="start this many processes for the job")
    for name, kind in (("nnodes", int), ("node-rank", int), ("master-addr", str), ("master-port", int)):
        parser.add_argument(f"--{name}", type=kind, help="as torchrun's, where several hosts take part")
    parser.add_argument("--parent", type=int, help="end when this process, the caller, ends")
    return parser


def _meeting(given: argparse.Namespace) -> list[str]:
    """Where the processes of a group meet: on this host alone, or at a port of the first of several."""
    if given.nnodes is None:
        return ["--standalone", "--local_addr", "127.0.0.1"]
    names = ("nnodes", "node_rank", "master_addr", "master_port")
    return [f"--{name}={getattr(given, name)}" for name in names]


@contextmanager
def _logged_to(path: Path) -> Iterator[None]:
    """Send all that this process and its libraries print to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
