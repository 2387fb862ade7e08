"""Checkpoints: when to save, a manifest that says a checkpoint is whole, and the newest one that is.

Writes  checkpoints/checkpoint-<step>/manifest.json, last of its files
"""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

MANIFEST = "manifest.json"


class Checkpoints(TrainerCallback):
    """Asks for a checkpoint every so many minutes and seals each one with its manifest."""

    def __init__(self, every_minutes: float | None) -> None:
        self._interval = None if every_minutes is None else 60 * every_minutes
        self._saved_at = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._interval is None:
            return
        due = torch.tensor(int(time.monotonic() - self._saved_at >= self._interval), device=args.device)
        if args.world_size > 1:  # clocks differ, and all processes must save in the same step
            torch.distributed.broadcast(due, src=0)
        control.should_save |= bool(due)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._saved_at = time.monotonic()
        if state.is_world_process_zero:
            seal(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")


def seal(folder: Path) -> None:
    """Write the manifest: size and sha256 of every file, by atomic rename."""
    draft = folder / f".{MANIFEST}"
    draft.write_text(json.dumps(_digests(folder), indent=1))
    draft.replace(folder / MANIFEST)


def newest_complete(checkpoints: Path) -> Path | None:
    """The checkpoint with the most steps whose files are all as its manifest says."""
    found = sorted(checkpoints.glob("checkpoint-*"), key=lambda folder: int(folder.name.rpartition("-")[2]))
    return next((folder for folder in reversed(found) if _is_complete(folder)), None)


def _is_complete(folder: Path) -> bool:
    manifest = folder / MANIFEST
    return manifest.exists() and json.loads(manifest.read_text()) == _digests(folder)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name not in (MANIFEST, f".{MANIFEST}")
    )
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
