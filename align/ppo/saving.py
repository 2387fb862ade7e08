"""Saving: a running loop -> checkpoints to resume from, and at its end a policy and its value model.

Writes  checkpoints/checkpoint-<update>/, model/, value/, adapter/
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from align.artifacts.checkpoint import checkpoint_folder, checkpoints_in, seal
from align.artifacts.metrics import TOTAL_STEPS, MetricsLog
from align.data.contract import contract_of
from align.models.saving import save_merging, save_model
from align.models.shared_base import stand_alone
from align.ppo.loop import Loop
from align.ppo.models import Models
from align.ppo.spec import PpoSpec
from align.runtime import group
from align.runtime.layout import Layout
from align.runtime.processes import rank
from align.runtime.saving import Due, Stopped, checkpoint_to_resume
from align.runtime.stage_io import StageIO

LOOP = "loop.pt"


class Saver:
    """Writes a checkpoint when one is due: every so many updates or minutes, or before the stage stops."""

    def __init__(self, io: StageIO) -> None:
        self._io = io
        self._due = Due(io.output, io.settings.save_every_minutes)

    def __call__(self, loop: Loop) -> None:
        """Save where it is time to.

        Raises:
            Stopped: the stage was asked to end, and has saved itself.
        """
        every = self._io.settings.save_every_steps
        is_time, is_stop = self._due.look()
        if is_time or is_stop or (every is not None and loop.update % every == 0):
            self._write(loop)
            self._due.saved()
        if is_stop:
            raise Stopped(loop.update)

    def _write(self, loop: Loop) -> None:
        folder = checkpoint_folder(self._io.output.checkpoints, loop.update)
        if rank() == 0:
            folder.mkdir(parents=True, exist_ok=True)
            torch.save(loop.state(), folder / LOOP)
            _layout(self._io).write(folder)
        group.wait()
        for name, engine in loop.engines.items():
            engine.save(folder / name)
        group.wait()
        if rank() == 0:
            seal(folder)
            self._prune()

    def _prune(self) -> None:
        for old in checkpoints_in(self._io.output.checkpoints)[: -self._io.settings.keep_checkpoints]:
            shutil.rmtree(old)


def _layout(io: StageIO) -> Layout:
    return Layout(group.size(), io.resources.zero_stage)


def resumable(io: StageIO) -> Path | None:
    """The folder to go on from; what was logged after it is cut off, so ask before anything is logged."""
    return checkpoint_to_resume(io.output, _layout(io), universal=io.settings.universal_checkpoints)


def resume(loop: Loop, checkpoint: Path | None, io: StageIO) -> None:
    """Go on from a checkpoint, or begin."""
    if checkpoint is not None:
        loop.restore(torch.load(checkpoint / LOOP, weights_only=True, map_location="cpu"))
        for name, engine in loop.engines.items():
            engine.load(checkpoint / name)
    elif rank() == 0:
        MetricsLog(io.output.metrics).append(0, {TOTAL_STEPS: loop.updates}, "schedule")


def save_models(models: Models, tokenizer: PreTrainedTokenizerBase, spec: PpoSpec, io: StageIO) -> None:
    """Write the value model, then the policy: each with its adapter merged, which ends their training."""
    values: Any = models.value.module
    value = values.model
    if isinstance(value, PeftModel):
        stand_alone(value)
        with TemporaryDirectory() as adapter:
            value = save_merging(value, Path(adapter))
    value.config.value_shift = values.shift.item()
    value.save_pretrained(io.output.path / "value", safe_serialization=True)
    policy: Any = models.policy.module.model
    policy.generation_config.update(
        do_sample=True,
        temperature=spec.decoding.temperature,
        max_new_tokens=spec.decoding.max_new_tokens,
    )
    tokenizer.padding_side = "left"  # the side for generation, which is what a saved policy is for
    save_model(policy, tokenizer, io.output)
    tokenizer.save_pretrained(io.output.path / "value")
    for folder in (io.output.model, io.output.path / "value"):
        contract_of(tokenizer).save(folder)
