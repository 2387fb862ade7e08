"""Execute: a plan -> artifacts; everything is checked before the first stage trains."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from align.artifacts.checkpoint import checkpoints_in, set_aside
from align.artifacts.lineage import build_lineage
from align.artifacts.lock import Lock, Status, read_status
from align.artifacts.store import Store, check_contents
from align.config.problem import ConfigError, Problem
from align.data.screening.findings import findings_table
from align.pipeline.gate import gate_results, require_gates
from align.pipeline.job import Job, Outcome, StageJob, record_job
from align.pipeline.launcher import Launcher, Layout
from align.pipeline.live import Board, progress
from align.pipeline.memory import memory_advice
from align.pipeline.plan import Planned, has_checkpoint
from align.pipeline.record import RunRecord, StageStatus
from align.pipeline.run import Run
from align.pipeline.stopping import StopRequested
from align.runtime.spec import BatchSpec
from align.stages.stage import RunSettings

LOG_LINES = 15  # of a failed stage's log that are shown


class StageFailed(RuntimeError):
    """A stage did not finish; the message is for the user."""


def check(run: Run, todo: Sequence[Planned], launcher: Launcher, board: Board) -> None:
    """Check all stages that are to run, in one child on the CPU.

    Raises:
        ConfigError: the problems of all stages.
        StageFailed: a check itself broke down.
    """
    board.start("check")
    job = Job(action="check", stages=tuple(stage_job(run, item) for item in todo))
    outcome = launcher.perform(job, Layout(), lambda: board.show("check", f"{len(todo)} stages"))
    board.list(findings_table(outcome.findings))
    if outcome.state == "refused":
        raise ConfigError([Problem((), line) for line in outcome.messages])
    if outcome.state != "done":
        raise StageFailed(_report("the check", outcome, launcher.log))


class Builder:
    """Builds the stages of one plan, each at most once on any host."""

    def __init__(self, run: Run, store: Store, launcher: Launcher, board: Board, record: RunRecord) -> None:
        self._run = run
        self._store = store
        self._launcher = launcher
        self._board = board
        self._record = record
        self._verified: set[Path] = set()

    def build(self, item: Planned) -> None:
        """Reuse, resume or run one stage.

        Raises:
            StageFailed: it failed; whatever was built before stays valid.
            ConfigError: a gate refuses it, or it met something that the user can put right.
            ArtifactError: an artifact that it reads is damaged.
            StopRequested: it saved itself and ended, as it was asked to.
        """
        started = time.time()
        self._board.start(item.name)
        self._record.note_gates(item.name, gate_results(item))
        if item.state != "cached":
            require_gates(item)
        before = read_status(item.artifact.path)
        lock = self._lock(item)
        if lock is None:
            self._finish(item, "cached", started)
            return
        with lock:
            try:
                self._verify_inputs(item)
                status = self._clear_the_way(item)
                outcome = self._perform(item)
            except (KeyboardInterrupt, StopRequested):
                lock.release("failed")
                self._finish(item, "failed", started)
                raise
            if outcome.state == "stopped":
                lock.release("failed")
                self._finish(item, "stopped", started)
                raise StopRequested(f"{item.name} {outcome.messages[0]}")
            if outcome.state != "done":
                lock.release("failed", "; ".join(outcome.messages))
                self._finish(item, "failed", started)
                self._raise(item, outcome, None if before is None else before.error)
            self._commit(item, lock, started)
        self._finish(item, status, started)

    def _lock(self, item: Planned) -> Lock | None:
        if item.state == "cached":
            return None

        def waiting(holder: Status) -> None:
            self._board.show(item.name, f"waiting for process {holder.pid} on {holder.host}", at_once=True)

        return self._store.acquire(item.artifact, patience=math.inf, waiting=waiting)

    def _verify_inputs(self, item: Planned) -> None:
        for parent in item.parents.values():
            if parent.path not in self._verified:
                check_contents(parent)
                self._verified.add(parent.path)

    def _clear_the_way(self, item: Planned) -> StageStatus:
        for line in set_aside(item.artifact.checkpoints):
            self._board.tell(f"{item.name}: {line}")
        return "resumed" if has_checkpoint(item.artifact) else "ran"

    def _perform(self, item: Planned) -> Outcome:
        job = Job(action="run", stages=(stage_job(self._run, item),))
        record_job(job, item.artifact.stage_json)
        item.artifact.stop_request.unlink(missing_ok=True)  # of an earlier run
        started = time.time()
        return self._launcher.perform(
            job,
            layout_of(self._run, item.name),
            lambda: self._board.show(item.name, progress(item.artifact.metrics, started)),
        )

    def _commit(self, item: Planned, lock: Lock, started: float) -> None:
        lineage = build_lineage(
            stage=item.name,
            spec=item.stage,
            fingerprint=item.fingerprint,
            parents=item.parents,
            output=item.artifact,
            hardware=asdict(self._run.hardware),
            world_size=layout_of(self._run, item.name).ranks,
            started=started,
            ended=time.time(),
        )
        self._store.commit(lock, lineage)

    def _finish(self, item: Planned, status: StageStatus, started: float) -> None:
        seconds = 0.0 if item.state == "cached" else time.time() - started
        self._board.finish(item.name, status, item.artifact.name, seconds)
        self._record.add(item.name, status, item.artifact, seconds)

    def _raise(self, item: Planned, outcome: Outcome, last_error: str | None) -> None:
        if outcome.state == "refused":
            raise ConfigError([Problem(("stages", item.name), line) for line in outcome.messages])
        log = item.artifact.log / f"rank-{outcome.rank}.txt"
        lines = [_report(item.name, outcome, log), f"log: {log}"]
        if outcome.state == "starved":
            resources, memory = self._run.resources_of(item.name), self._run.hardware.memory_gib
            lines.append(memory_advice(item.name, resources.micro_batch, memory))
        elif last_error == "; ".join(outcome.messages):
            lines.append(_same_again(item))
        raise StageFailed("\n".join(lines))


def layout_of(run: Run, name: str) -> Layout:
    """The processes a stage gets: a training stage one per device, any other one."""
    if not isinstance(run.stages[name], BatchSpec):
        return Layout()
    return Layout(ranks=run.devices, grouped=run.parallel_of(name).deepspeed is not None)


def stage_job(run: Run, item: Planned) -> StageJob:
    """What a worker has to know about one stage."""
    return StageJob(
        name=item.name,
        stage=item.stage,
        inputs={name: parent.path.resolve() for name, parent in item.parents.items()},
        output=item.artifact.path.resolve(),
        outputs=run.paths.outputs.resolve(),
        resources=replace(run.resources_of(item.name), parallel=run.parallel_of(item.name)),
        settings=RunSettings(
            hardware=run.hardware,
            save_every_steps=run.checkpoints.every_steps,
            save_every_minutes=run.checkpoints.every_minutes,
            keep_checkpoints=run.checkpoints.keep,
            universal_checkpoints=run.checkpoints.universal,
            log_every_steps=run.logging.every_steps,
            trackers=run.tracking.trackers,
            timeout_minutes=run.launcher.timeout_minutes,
        ),
    )


def _same_again(item: Planned) -> str:
    """What to do when a stage fails at the same place however often it is run."""
    ways = f"change a setting of stages.{item.name}, or start over with run.fresh=[{item.name}]"
    if found := checkpoints_in(item.artifact.checkpoints):
        ways += f"; to go on from an older checkpoint, remove {found[-1]}"
    return f"This is how it failed the last time; running it again will not help. {ways[0].upper()}{ways[1:]}"


def _report(what: str, outcome: Outcome, log: Path) -> str:
    """The error and the end of the log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    tail = [f"  | {line}" for line in lines[-LOG_LINES:]]
    return "\n".join([f"{what} failed: {outcome.messages[0]}", *tail])
