"""Saving: a running loop -> checkpoints to resume from, and at its end a policy and its value model.

Writes  checkpoints/checkpoint-<update>/, model/, value/, adapter/
"""

import shutil
import time
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from align.artifacts.metrics import TOTAL_STEPS, MetricsLog
from align.data.contract import contract_of
from align.models.saving import save_model
from align.models.shared_base import stand_alone
from align.ppo.loop import Loop
from align.ppo.models import Models
from align.ppo.spec import PpoSpec
from align.runtime import group
from align.runtime.checkpoint import newest_complete, seal
from align.runtime.layout import Layout, readable
from align.runtime.processes import rank
from align.runtime.stage_io import StageIO

LOOP = "loop.pt"


class Saver:
    """Writes a checkpoint when one is due: every so many updates, or minutes."""

    def __init__(self, io: StageIO) -> None:
        self._io = io
        self._saved_at = time.monotonic()

    def __call__(self, loop: Loop) -> None:
        settings = self._io.settings
        every, minutes = settings.save_every_steps, settings.save_every_minutes
        is_time = minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes
        due = (every is not None and loop.update % every == 0) or is_time
        if group.first_says(due):  # clocks differ, and no process may run ahead of a checkpoint
            self._write(loop)
            self._saved_at = time.monotonic()

    def _write(self, loop: Loop) -> None:
        folder = self._io.output.checkpoints / f"checkpoint-{loop.update}"
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
        root = self._io.output.checkpoints
        found = sorted(root.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        for old in found[: -self._io.settings.keep_checkpoints]:
            shutil.rmtree(old)


def _layout(io: StageIO) -> Layout:
    parallel = io.resources.parallel
    is_deepspeed = parallel is not None and parallel.deepspeed is not None
    return Layout(group.size(), parallel.zero_stage if parallel and is_deepspeed else None)


def resume(loop: Loop, io: StageIO) -> None:
    """Go on from the newest whole checkpoint; what was logged after it is cut off."""
    newest: Path | None = newest_complete(io.output.checkpoints)
    checkpoint = readable(newest, _layout(io), universal=io.settings.universal_checkpoints)
    if checkpoint is not None:
        loop.restore(torch.load(checkpoint / LOOP, weights_only=True, map_location="cpu"))
        for name, engine in loop.engines.items():
            engine.load(checkpoint / name)
    if rank() == 0:
        MetricsLog(io.output.metrics).cut_back(loop.update if checkpoint else -1)
        MetricsLog(io.output.samples).cut_back(loop.update if checkpoint else -1)
        if checkpoint is None:
            MetricsLog(io.output.metrics).append(0, {TOTAL_STEPS: loop.updates}, "schedule")


def save_models(models: Models, tokenizer: PreTrainedTokenizerBase, spec: PpoSpec, io: StageIO) -> None:
    """Write the value model, then the policy: each with its adapter merged, which ends their training."""
    values: Any = models.value.module
    value = values.model
    if isinstance(value, PeftModel):
        stand_alone(value)
        value = value.merge_and_unload()
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
    contract_of(tokenizer).save(io.output.model)
    tokenizer.save_pretrained(io.output.path / "value")
