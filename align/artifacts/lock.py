"""Lock: at most one process builds an artifact, on any host that sees the folder.

The holder is the process whose numbered claim file is the highest; a claim is made by an exclusive hard link,
which is atomic on network file systems too. It shows that it lives by a heartbeat in `status.json`. After
three missed beats, or at once when its process is known to be gone, the next comer makes a higher claim; the
old holder, should it still be there, notices at its next beat and stops.
"""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from align.artifacts.durable import beside, write_json

INTERVAL = 20.0  # seconds between heartbeats
MISSED = 3  # beats after which a holder counts as gone
STATUS = "status.json"
CLAIM = ".claim-"

State = Literal["running", "failed", "complete"]


def _namespace() -> str:
    """Where a process id means something: the boot and the pid namespace; empty where nobody can say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process_start(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 when there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
    except OSError:
        return 0


@dataclass(frozen=True)
class Status:
    """What `status.json` says: who builds the artifact, and how that went."""

    state: State
    claim: int
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    namespace: str = field(default_factory=_namespace)
    process_start: int = field(default_factory=lambda: _process_start(os.getpid()))
    heartbeat: float = field(default_factory=time.time)
    interval: float = INTERVAL
    error: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether somebody still works on the artifact."""
        if self.state != "running" or time.time() - self.heartbeat > MISSED * self.interval:
            return False
        is_ours_to_see = bool(self.namespace) and self.namespace == _namespace()
        return not is_ours_to_see or _process_start(self.pid) == self.process_start


class HeldError(RuntimeError):
    """Somebody else builds the artifact right now."""

    def __init__(self, folder: Path, holder: Status) -> None:
        self.holder = holder
        super().__init__(f"{folder.name} is being built by process {holder.pid} on {holder.host}")


class LostError(RuntimeError):
    """The lock was taken over, because no heartbeat was seen for three intervals."""


class Lock:
    """A held artifact folder. As a context it beats by itself, and an exception marks the artifact failed.

    When the lock is lost inside the context, the main thread is interrupted and the context raises LostError.
    """

    def __init__(self, folder: Path, status: Status) -> None:
        self.folder = folder
        self._status = status
        self._stopped = threading.Event()
        self._beating: threading.Thread | None = None
        self._lost = False

    def __enter__(self) -> Self:
        self._beating = threading.Thread(target=self._beat_until_stopped, name="heartbeat", daemon=True)
        self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status.state == "running":
            self.release("failed", f"{kind.__name__}: {error}" if kind else "released before it was complete")
        self._stop()
        if self._lost:
            self.verify()

    def verify(self) -> None:
        """Make sure that the lock is still ours.

        Raises:
            LostError: somebody took over.
        """
        if _highest_claim(self.folder) != self._status.claim:
            raise LostError(f"{self.folder.name} was taken over by another process")

    def beat(self) -> None:
        """Show that this process lives; raises as `verify` does."""
        self.verify()
        self._status = replace(self._status, heartbeat=time.time())
        write_json(self.folder / STATUS, asdict(self._status))

    def release(self, state: State, error: str | None = None) -> None:
        """Say how it ended; the folder is free from here on."""
        self._stop()
        self._status = replace(self._status, state=state, error=error, heartbeat=time.time())
        if _highest_claim(self.folder) == self._status.claim:
            write_json(self.folder / STATUS, asdict(self._status))

    def _stop(self) -> None:
        self._stopped.set()
        if self._beating is not None and self._beating is not threading.current_thread():
            self._beating.join()

    def _beat_until_stopped(self) -> None:
        while not self._stopped.wait(self._status.interval):
            try:
                self.beat()
            except LostError:
                self._lost = True
                main = threading.main_thread().ident or 0
                signal.pthread_kill(main, signal.SIGINT)  # two builders would spoil each other's work
                return
            except OSError:
                continue  # a full or absent disk: three chances before the lock counts as stale


def read_status(folder: Path) -> Status | None:
    """Who holds a folder or held it last; None where nobody ever did."""
    return _holder(folder, _highest_claim(folder))


def acquire(folder: Path, interval: float = INTERVAL) -> Lock:
    """Become the one who builds this artifact.

    Raises:
        HeldError: somebody else is alive and building it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seen = _highest_claim(folder)  # once: who claims the number after it has judged this holder, no later one
    holder = _holder(folder, seen)
    if holder is not None and holder.is_live:
        raise HeldError(folder, holder)
    status = Status("running", seen + 1, interval=interval)
    if not _claim(folder, status):
        raise HeldError(folder, read_status(folder) or status)
    write_json(folder / STATUS, asdict(status))
    for number in _claims(folder):
        if number < status.claim:
            (folder / f"{CLAIM}{number:06d}").unlink(missing_ok=True)
    return Lock(folder, status)


def _holder(folder: Path, claim: int) -> Status | None:
    status = _parsed(folder / STATUS)
    if status is not None and status.claim >= claim:
        return status
    return _parsed(folder / f"{CLAIM}{claim:06d}") or status  # claimed, and the status not yet written


def _claim(folder: Path, status: Status) -> bool:
    target = folder / f"{CLAIM}{status.claim:06d}"
    draft = beside(target)
    write_json(draft, asdict(status))
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    if _highest_claim(folder) > status.claim:  # others came and went since we looked
        target.unlink()
        return False
    return True


def _claims(folder: Path) -> list[int]:
    return [int(path.name.removeprefix(CLAIM)) for path in folder.glob(f"{CLAIM}[0-9]*")]


def _highest_claim(folder: Path) -> int:
    return max(_claims(folder), default=0)


def _parsed(path: Path) -> Status | None:
    try:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Status(**content)
    except (OSError, ValueError, TypeError):
        return None
