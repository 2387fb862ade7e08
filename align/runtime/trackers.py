"""Trackers: the numbers of a stage without a Trainer -> TensorBoard, trackio, Weights & Biases, SwanLab.

Reads   tracking.trackers
Writes  log/events/ (TensorBoard); the others where they keep their runs
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from accelerate import PartialState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

PROJECT = "huggingface"  # where transformers' Trainer reports the other stages


class Trackers:
    """Tells every tracker that is named, until the end of the `with` block."""

    def __init__(self, names: Sequence[str], run: str, events: Path) -> None:
        if names:
            PartialState()  # accelerate's trackers log through it, and fail where nobody has made it
        self._trackers = [_started(name, run, events) for name in names]

    def log(self, metrics: Mapping[str, float], step: int, split: str) -> None:
        """One step's numbers; those of another split than train have its name before theirs."""
        before = "" if split == "train" else f"{split}/"
        named = {f"{before}{name}": value for name, value in metrics.items()}
        for tracker in self._trackers:
            tracker.log(named, step=step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for tracker in self._trackers:
            tracker.finish()  # writes out what is held back


@contextmanager
def runs_ended() -> Iterator[None]:
    """End what trackers keep open in this process after the `with` block: every stage has its own run.

    transformers' Trainer takes the run that it finds, and leaves it open for whoever comes next.
    """
    try:
        yield
    finally:
        wandb, swanlab = sys.modules.get("wandb"), sys.modules.get("swanlab")
        if wandb is not None and wandb.run is not None:
            wandb.finish()
        if swanlab is not None and swanlab.get_run() is not None:
            swanlab.finish()


def rewind_events(events: Path, step: int) -> None:
    """Have TensorBoard leave out what was written after a step, where a resumed run starts again."""
    for folder in {path.parent for path in events.rglob("events.out.tfevents.*")}:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (who has written events has it)

        SummaryWriter(str(folder), purge_step=step + 1).close()


def _started(name: str, run: str, events: Path) -> GeneralTracker:
    settings: Mapping[str, Mapping[str, Any]] = {
        "tensorboard": {"run_name": run, "logging_dir": str(events)},
        "swanlab": {"run_name": PROJECT, "experiment_name": run},
    }
    tracker = LOGGER_TYPE_TO_CLASS[name](**settings.get(name, {"run_name": PROJECT, "name": run}))
    tracker.start()
    return tracker
