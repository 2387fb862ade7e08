"""Launcher: starts worker processes, hands them jobs, and ends them when the pipeline ends."""

import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from align.pipeline.job import Job, Outcome, read_outcomes, write_job
from align.pipeline.stopping import StopSignals
from align.pipeline.verdict import posthumous, verdict

POLL_SECONDS = 0.1
END_SECONDS = 30  # for a child without a job to end by itself
DOWNFALL_SECONDS = 5  # for the other ranks to speak, once one has failed
# Between batches glibc would give memory back to the system, only to fetch it again page by page.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**25)}


@dataclass(frozen=True)
class Layout:
    """The processes of a stage. `grouped` asks for a process group, which DeepSpeed needs even when alone.

    With several hosts, `ranks` counts those of all of them; they meet at `address` and `port` of node 0, and
    gloo is told the network `interface` of this one.
    """

    ranks: int = 1
    grouped: bool = False
    hosts: int = 1
    node_rank: int = 0
    address: str = ""
    port: int = 0
    interface: str | None = None

    @property
    def local_ranks(self) -> int:
        """Processes on this host."""
        return self.ranks // self.hosts

    @property
    def numbers(self) -> range:
        """The ranks of the processes on this host."""
        first = self.node_rank * self.local_ranks
        return range(first, first + self.local_ranks)

    @property
    def words(self) -> tuple[str, ...]:
        """What a worker is told, so that it starts its share of the processes."""
        meeting = (
            "--nnodes", str(self.hosts), "--node-rank", str(self.node_rank),
            "--master-addr", self.address, "--master-port", str(self.port),
        )  # fmt: skip
        return ("--ranks", str(self.local_ranks), *(meeting if self.hosts > 1 else ()))


class Launcher:
    """The children of one run.

    A layout of one rank keeps its child for the next job, so that consecutive stages pay the imports once;
    several ranks are started by torchrun, fresh for every job. Use it from the main thread: children die with
    the thread that started them.
    """

    def __init__(
        self, accelerator: Literal["cpu", "cuda"], signals: StopSignals, grace_seconds: float = 0.0
    ) -> None:
        self._accelerator = accelerator
        self._signals = signals
        self._grace = grace_seconds
        self._folder = tempfile.TemporaryDirectory(prefix="align-")
        self._jobs = 0
        self._layout: Layout | None = None
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(kill=problem is not None)
        self._folder.cleanup()

    @property
    def log(self) -> Path:
        """What children print outside of a stage."""
        return Path(self._folder.name) / "worker.txt"

    def perform(self, job: Job, layout: Layout, watch: Callable[[], None]) -> Outcome:
        """Have a child do the job and wait for it, calling `watch` several times a second meanwhile.

        A signal to stop asks a job that can save itself to do so, within the grace; others end at once.
        """
        self._jobs += 1
        path = Path(self._folder.name) / f"job-{self._jobs}.json"
        write_job(job, path)
        with self._signals.put_off():
            child = self._start(path, layout)
            return self._wait(child, path, job, layout, watch)

    def _wait(
        self,
        child: subprocess.Popen[str],
        path: Path,
        job: Job,
        layout: Layout,
        watch: Callable[[], None],
    ) -> Outcome:
        ends_by, is_told = math.inf, False
        while child.poll() is None:
            said = read_outcomes(path, layout.numbers)
            now = time.monotonic()
            if said and layout.ranks == 1:
                break
            if any(outcome.state != "done" for outcome in said.values()):
                ends_by = min(ends_by, now + DOWNFALL_SECONDS)
            elif self._signals.received and not is_told:
                ends_by, is_told = now + self._ask_to_stop(job), True
            if now >= ends_by:
                self._end(kill=True)
                break
            watch()
            time.sleep(POLL_SECONDS)
        outcome = verdict(read_outcomes(path, layout.numbers), layout.numbers)
        if outcome is None and self._signals.received:
            return Outcome(state="stopped", messages=("not saved anew",))
        return outcome or posthumous(child.wait())

    def _ask_to_stop(self, job: Job) -> float:
        """Pass the signal on; the seconds that the job gets to save itself."""
        if not job.saves_itself:
            return 0.0
        job.stop_request.touch()
        return self._grace

    def stop(self) -> None:
        """End the child amid its job."""
        self._end(kill=True)

    def _start(self, job: Path, layout: Layout) -> subprocess.Popen[str]:
        if layout.ranks > 1:
            self._end()
            self._child, self._layout = self._spawn(layout, *layout.words, str(job)), layout
            return self._child
        if self._child is None or self._layout != layout or self._child.poll() is not None:
            self._end()
            self._child, self._layout = self._spawn(layout, "-"), layout
        assert self._child.stdin is not None
        with suppress(BrokenPipeError):  # it died just now, which whoever waits for the job will see
            self._child.stdin.write(f"{job}\n")
            self._child.stdin.flush()
        return self._child

    def _spawn(self, layout: Layout, *arguments: str) -> subprocess.Popen[str]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "align.pipeline.worker", "--parent", str(os.getpid()), *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment(self._accelerator, layout),
                start_new_session=True,  # Ctrl-C reaches the pipeline alone, which then ends the child
            )

    def _end(self, *, kill: bool = False) -> None:
        """Close the child's input, which ends it after its job; `kill` ends it and its children at once."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        with suppress(BrokenPipeError):
            child.stdin.close()
        try:
            child.wait(0 if kill else END_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def environment(accelerator: Literal["cpu", "cuda"], layout: Layout) -> dict[str, str]:
    """The environment of a child: ours, without telemetry, and with the machine it may use."""
    ours = {"HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "true"} | dict(os.environ)
    if accelerator == "cpu":
        ours = KEEP_MEMORY | ours
        ours |= {"DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    if layout.ranks > 1:
        ours.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // layout.local_ranks)))
        if layout.interface:
            ours.setdefault("GLOO_SOCKET_IFNAME", layout.interface)
    elif layout.grouped:
        ours |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
        ours |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    return ours


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
