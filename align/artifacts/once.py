"""Once: a folder that is made by whoever needs it first; the others wait and find it.

It is there when its mark is, a file that its maker writes last. What a dead maker left is made again.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from align.artifacts.lock import STATUS, HeldError, acquire, read_status

POLL = 0.2  # seconds between looks at a folder that somebody else makes
UNUSED_DAYS = 30.0  # after which a folder that can be made again is removed


def made_once(folder: Path, mark: str, make: Callable[[Path], None]) -> Path:
    """The folder, after `make` has filled it, here or in another process on any host that sees it.

    Args:
        folder: named by what it is made from, so that the same name always means the same content.
        mark: name of the file that `make` writes last, and atomically.
        make: called with the folder, which holds nothing but the lock's files.
    """
    while not (folder / mark).exists():
        try:
            lock = acquire(folder)
        except HeldError:
            time.sleep(POLL)
            continue
        with lock:
            if not (folder / mark).exists():
                _clear(folder)
                make(folder)
            lock.release("complete")
    folder.touch()  # its time says when it was last of use
    return folder


def sweep(parent: Path, days: float = UNUSED_DAYS) -> list[Path]:
    """Remove the folders below `parent` that nobody has used for so long, nor makes now; return them."""
    if not parent.is_dir():
        return []
    oldest = time.time() - days * 86_400
    unused = []
    for folder in sorted(parent.iterdir()):
        status = read_status(folder)
        if folder.stat().st_mtime < oldest and not (status and status.is_live):
            unused.append(folder)
    for folder in unused:
        shutil.rmtree(folder, ignore_errors=True)
    return unused


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name == STATUS:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
