"""Launcher: starts worker processes, hands them jobs, and ends them when the pipeline ends."""

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

from align.pipeline.job import Job, Outcome, read_outcome, write_job

POLL_SECONDS = 0.1
GRACE_SECONDS = 30  # a stage may still write a checkpoint after SIGTERM
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

    def __init__(self, accelerator: Literal["cpu", "cuda"]) -> None:
        self._accelerator = accelerator
        self._folder = tempfile.TemporaryDirectory(prefix="align-")
        self._jobs = 0
        self._layout: Layout | None = None
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(interrupt=problem is not None)
        self._folder.cleanup()

    @property
    def log(self) -> Path:
        """What children print outside of a stage."""
        return Path(self._folder.name) / "worker.txt"

    def perform(self, job: Job, layout: Layout, watch: Callable[[], None]) -> Outcome:
        """Have a child do the job and wait for it, calling `watch` several times a second meanwhile."""
        self._jobs += 1
        path = Path(self._folder.name) / f"job-{self._jobs}.json"
        write_job(job, path)
        child = self._start(path, layout)
        first = layout.node_rank * layout.local_ranks
        while child.poll() is None and (layout.ranks > 1 or read_outcome(path, layout.ranks) is None):
            watch()
            time.sleep(POLL_SECONDS)
        outcome = read_outcome(path, layout.local_ranks, first)
        return outcome or _posthumous(child.wait())

    def stop(self) -> None:
        """End the child amid its job."""
        self._end(interrupt=True)

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

    def _end(self, *, interrupt: bool = False) -> None:
        """Close the child's input, which ends it after its job; `interrupt` ends it amid one."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        with suppress(BrokenPipeError):
            child.stdin.close()
        if interrupt:
            child.send_signal(signal.SIGTERM)
        try:
            child.wait(GRACE_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
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


def _posthumous(code: int) -> Outcome:
    """What is to be said of a worker that could not say it itself."""
    if code == -signal.SIGKILL:
        cause = "the worker was killed (signal 9), most often because the machine had no memory left"
        return Outcome(state="starved", messages=(cause,))
    cause = f"the worker ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}"
    return Outcome(state="failed", messages=(cause,))
