"""Saving: when a running stage writes a checkpoint, and when it ends because it was asked to.

Reads   .stop
"""

import sys
import time
from pathlib import Path

from align.artifacts.checkpoint import newest_sound, rewind_logs, step_of
from align.artifacts.store import ArtifactDir
from align.runtime import group
from align.runtime.layout import Layout, readable
from align.runtime.processes import rank
from align.runtime.trackers import rewind_events


class Stopped(Exception):
    """The stage was asked to stop and has saved itself; it is not complete."""

    def __init__(self, step: int) -> None:
        super().__init__(f"saved at step {step}")


class Due:
    """Whether it is time to save. The first process decides, as clocks differ and files are seen late."""

    def __init__(self, output: ArtifactDir, every_minutes: float | None) -> None:
        self._output = output
        self._interval = None if every_minutes is None else 60 * every_minutes
        self._saved_at = time.monotonic()

    def look(self) -> tuple[bool, bool]:
        """Whether to save, by the clock, and whether to stop; all processes must ask."""
        is_time = self._interval is not None and time.monotonic() - self._saved_at >= self._interval
        return group.first_says((is_time, self._output.stop_request.exists()))

    def saved(self) -> None:
        """The clock starts again."""
        self._saved_at = time.monotonic()


def checkpoint_to_resume(output: ArtifactDir, layout: Layout, *, universal: bool) -> Path | None:
    """The newest sound checkpoint, the same on all processes; what was logged after it is taken back.

    Args:
        output: the artifact that is being built.
        layout: of this run.
        universal: whether a checkpoint that another layout wrote may be converted.

    Returns:
        The folder to resume from: the checkpoint, or what it was converted to.

    Raises:
        ConfigError: it was written by a layout that this one cannot read.
    """
    found = group.first_says(newest_sound(output.checkpoints) if rank() == 0 else None)
    source = readable(found, layout, universal=universal)
    if rank() == 0:
        rewind_logs(output.path, found)
        rewind_events(output.events, 0 if found is None else step_of(found))
    if found is not None:
        sys.stdout.write(f"resumed from {found.name}\n")
    return source
