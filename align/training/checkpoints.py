"""Checkpoints: when a trainer saves itself, and the seal on what it saved."""

from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import rotate_checkpoints

from align.artifacts.checkpoint import checkpoint_folder, seal
from align.runtime import group
from align.runtime.layout import Layout
from align.runtime.saving import Due, Stopped


class Checkpoints(TrainerCallback):
    """Asks for a checkpoint when one is due, seals each one with its manifest, and removes older ones.

    The trainer itself would remove one before the next is sealed; who is killed in between has one less.
    """

    def __init__(self, due: Due, keep: int) -> None:
        self._due = due
        self._keep = keep
        self._stopped_at: int | None = None

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        is_time, is_stop = self._due.look()
        control.should_save |= is_time or is_stop
        if is_stop:
            control.should_training_stop = True
            self._stopped_at = state.global_step

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._due.saved()
        group.wait()  # the others may still be writing what the seal is to cover
        if state.is_world_process_zero:
            folder = checkpoint_folder(Path(str(args.output_dir)), state.global_step)
            layout_of(args).write(folder)
            seal(folder)
            rotate_checkpoints(str(args.output_dir), self._keep, state.best_model_checkpoint)

    def raise_if_stopped(self) -> None:
        """Call it when training has ended.

        Raises:
            Stopped: it ended because it was asked to.
        """
        if self._stopped_at is not None:
            raise Stopped(self._stopped_at)


def layout_of(args: TrainingArguments) -> Layout:
    """The processes that a trainer counts, and how DeepSpeed has them share a model."""
    plugin = args.deepspeed_plugin if args.deepspeed else None
    stage = None if plugin is None else plugin.deepspeed_config["zero_optimization"]["stage"]
    return Layout(args.world_size, stage)
