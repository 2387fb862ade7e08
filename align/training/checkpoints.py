"""Checkpoints: when a trainer saves itself, and the seal on what it saved."""

import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from align.runtime import group
from align.runtime.checkpoint import seal
from align.runtime.layout import Layout


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
        group.wait()  # the others may still be writing what the seal is to cover
        if state.is_world_process_zero:
            folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            layout_of(args).write(folder)
            seal(folder)


def layout_of(args: TrainingArguments) -> Layout:
    """The processes that a trainer counts, and how DeepSpeed has them share a model."""
    plugin = args.deepspeed_plugin if args.deepspeed else None
    stage = None if plugin is None else plugin.deepspeed_config["zero_optimization"]["stage"]
    return Layout(args.world_size, stage)
