"""Pool: blocks of work -> their results in order, made by processes of their own.

Workers are fresh interpreters that run `align.workers.child`: nothing is forked, so threads, locks and the
accelerators of this process do not matter, and its script is not imported again.
"""

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Protocol

MOST = 16  # workers: who hands out the blocks and takes the results cannot keep more of them busy
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}  # as there are other workers
CHILD = [sys.executable, "-m", "align.workers.child"]
_NOTHING = object()  # in place of a block


class Task(Protocol):
    """What the workers do; it is pickled, and so are blocks and results."""

    def begin(self) -> Callable[[Any], Any]:
        """Called once in every worker, for what takes a while; returns what is called with each block."""


class WorkerError(RuntimeError):
    """A worker came to an end that nobody asked for."""


def cores() -> int:
    """Processors that this process may use, as far as there is work for them."""
    return min(len(os.sched_getaffinity(0)), MOST)


def in_order(task: Task, blocks: Iterable[Any], workers: int) -> Generator[Any, None, None]:
    """The result of every block, in the order of the blocks, whoever made it.

    What `blocks` or the task raises is raised in its place, after the results of all blocks before. With one
    worker no process is started.

    Raises:
        WorkerError: a worker died.
    """
    if workers < 2:
        yield from map(task.begin(), blocks)
        return
    with ExitStack() as stack:
        idle = deque(stack.enter_context(_Worker(task)) for _ in range(workers))
        busy: deque[_Worker] = deque()
        waiting = iter(blocks)
        problem: Exception | None = None
        following = _Block(waiting)
        while True:
            while idle and following.is_there:
                worker = idle.popleft()
                worker.send(following.value)
                busy.append(worker)
                following = _Block(waiting)
            problem = following.problem
            if not busy:
                break
            worker = busy.popleft()
            result = worker.receive()
            if following.is_there:  # before the result is looked at, so that nobody waits for that
                worker.send(following.value)
                busy.append(worker)
                following = _Block(waiting)
            else:
                idle.append(worker)
            yield result
        if problem is not None:
            raise problem


class _Block:
    """The next block; none where there is none left, or where it could not be had."""

    def __init__(self, blocks: Iterator[Any]) -> None:
        self.problem: Exception | None = None
        self.value: Any = _NOTHING
        try:
            self.value = next(blocks, _NOTHING)
        except Exception as problem:
            self.problem = problem
        self.is_there = self.value is not _NOTHING


class _Worker:
    """One process that answers each block before it gets the next, so neither waits for the other's pipe."""

    def __init__(self, task: Task) -> None:
        imports = os.pathsep.join(path or os.getcwd() for path in sys.path)
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": imports}
        self._process = subprocess.Popen(
            CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=2**16
        )
        self.send(task)

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        """Let the worker end; one that is still at work has no reader left."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                continue  # what had not been sent yet has nobody to read it
        self._process.wait()

    def send(self, value: Any) -> None:
        """Hand over the task, or a block."""
        assert self._process.stdin is not None
        try:
            pickle.dump(value, self._process.stdin, protocol=5)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None

    def receive(self) -> Any:
        """The result of the block that was sent last."""
        assert self._process.stdout is not None
        try:
            is_result, value = pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError):
            raise self._death() from None
        if not is_result:
            raise value
        return value

    def _death(self) -> WorkerError:
        return WorkerError(
            f"a worker process ended with {self._process.wait()}; what it said stands above "
            "(killed for memory, perhaps)"
        )
