"""Processes of a run, as the kernel knows them."""

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 120.0


def wait_until(
    happened: Callable[[], object], what: str, patience: float = PATIENCE, pause: float = 0.02
) -> None:
    """Look again and again; fail when it does not happen in time."""
    deadline = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < deadline, f"no {what} within {patience} s"
        time.sleep(pause)


def workers(pid: int) -> list[int]:
    """The workers that `pid` started and that still run: not git, which a pipeline asks now and then."""
    own = [child for child, (parent, is_alive) in _all().items() if parent == pid and is_alive]
    return [child for child in own if b"align.pipeline.worker" in _read(child, "cmdline").split(b"\0")]


def descendants(pid: int) -> set[int]:
    """Every running process below `pid`."""
    known = _all()
    found: set[int] = set()
    waiting = {pid}
    while waiting:
        waiting = {child for child, (parent, is_alive) in known.items() if parent in waiting and is_alive}
        waiting -= found
        found |= waiting
    return found


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only its exit code is left."""
    found = _stat(Path(f"/proc/{pid}/stat"))
    return found is None or not found[1]


def rank_of(pid: int) -> int | None:
    """The rank that a process was started as."""
    environment = _read(pid, "environ").split(b"\0")
    return next((int(item[5:]) for item in environment if item.startswith(b"RANK=")), None)


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _all() -> dict[int, tuple[int, bool]]:
    found = {int(path.parent.name): _stat(path) for path in Path("/proc").glob("[0-9]*/stat")}
    return {pid: stat for pid, stat in found.items() if stat is not None}


def _stat(path: Path) -> tuple[int, bool] | None:
    """Parent, and whether the process is more than an exit code."""
    try:
        state, parent, *_ = path.read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(parent), state != "Z"
