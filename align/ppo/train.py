"""Train: a PPO specification on a machine -> models, the loop over them, and a saved policy.

Reads   policy, value model, prompts, checkpoints/ of an interrupted run
Writes  model/, value/, adapter/, metrics.jsonl, samples.jsonl, data.json, checkpoints/
"""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from align.artifacts.durable import write_json
from align.artifacts.metrics import TOTAL_STEPS, MetricsLog
from align.config.resources import AUTO_TOKENS
from align.data.contract import contract_of
from align.data.records import Prompt
from align.data.source import load_rows
from align.models.saving import save_model
from align.models.tokenizer import load_model_tokenizer
from align.ppo.collect import Collector
from align.ppo.journal import Journal
from align.ppo.kl import AdaptiveKl, Controller, FixedKl
from align.ppo.loop import Loop, LoopSettings, full_state
from align.ppo.models import Models, build_models
from align.ppo.prompts import PromptPlan, fitting
from align.ppo.schedule import Schedule
from align.ppo.score import WeightedSource
from align.ppo.shaping import Shaping
from align.ppo.spec import KlSpec, PpoSpec
from align.ppo.update import Updater, UpdateSettings
from align.runtime import group
from align.runtime.checkpoint import newest_complete, seal
from align.runtime.processes import rank
from align.runtime.stage_io import StageIO

READ_TOKENS = 4 * AUTO_TOKENS  # of a batch that is read without gradients, and so keeps no activations


def train(spec: PpoSpec, io: StageIO) -> None:
    """Build what the loop needs, run it, and save the policy and the value model.

    Raises:
        TrainingBroke: see `Loop.run`.
        DataError: no prompt fits.
    """
    set_seed(spec.seed)
    tokenizer = load_model_tokenizer(io.locate(spec.policy.path), spec.policy)
    models = build_models(spec, io, tokenizer)
    loop = _loop(spec, io, tokenizer, models)
    _resume(loop, io)
    loop.run()
    if rank() == 0:
        _save(models, tokenizer, spec, io)


def _loop(spec: PpoSpec, io: StageIO, tokenizer: PreTrainedTokenizerBase, models: Models) -> Loop:
    policy: Any = models.policy.module.model
    settings = LoopSettings(
        updates=spec.updates,
        rollout_batch_size=spec.batch_size,
        gamma=spec.gamma,
        gae_lambda=spec.gae_lambda,
        whiten=spec.whiten,
        kl_cap=spec.kl.cap,
        seed=spec.seed,
    )
    schedule = Schedule(
        updates=spec.updates,
        steps_per_update=spec.epochs * spec.minibatches,
        policy=spec.policy_optimizer,
        value=spec.value_optimizer,
        value_warmup_updates=spec.value_warmup_updates,
    )
    return Loop(
        settings,
        prompts=_prompts(spec, io, tokenizer, policy),
        collector=_collector(spec, io, tokenizer, models),
        updater=Updater(models.policy, models.value, _update_settings(spec, io)),
        controller=_controller(spec.kl),
        shaping=_shaping(spec),
        schedule=schedule,
        log=Journal(io.output, spec.updates, io.settings.log_every_steps),
        save=_Saver(io),
    )


def _collector(spec: PpoSpec, io: StageIO, tokenizer: PreTrainedTokenizerBase, models: Models) -> Collector:
    measured = {name: WeightedSource(item.located(io.locate).build()) for name, item in spec.measured.items()}
    sources = {
        name: WeightedSource(entry.source.located(io.locate).build(), entry.weight)
        for name, entry in spec.rewards.items()
    }
    return Collector(
        sampler=models.sampler,
        policy=models.policy,
        value=models.value,
        reference=models.reference,
        sources=sources,
        measured=measured,
        pad=tokenizer.pad_token_id,
        tokens=READ_TOKENS,
    )


def _prompts(
    spec: PpoSpec, io: StageIO, tokenizer: PreTrainedTokenizerBase, policy: PreTrainedModel
) -> PromptPlan:
    loaded = load_rows(spec.data, Prompt, io.outputs, control_tokens=tokenizer.all_special_tokens)
    context = getattr(policy.config.get_text_config(), "max_position_embeddings", None)
    bounds = [] if context is None else [context - spec.decoding.max_new_tokens]
    bounds += [] if spec.max_prompt_tokens is None else [spec.max_prompt_tokens]
    prompts, tokens = fitting(loaded.train, tokenizer, min(bounds, default=None))
    report = {
        "loaded": loaded.report.as_dict(),
        "prompts": {"kept": len(prompts), "too_long": len(loaded.train) - len(prompts)},
    }
    if rank() == 0:
        sys.stdout.write("\n".join([*loaded.report.lines(), f"{len(prompts)} prompts kept", ""]))
        io.output.path.mkdir(parents=True, exist_ok=True)
        write_json(io.output.data, report)
    return PromptPlan(prompts, tokens, spec.seed)


def _update_settings(spec: PpoSpec, io: StageIO) -> UpdateSettings:
    rows = io.resources.micro_batch
    return UpdateSettings(
        epochs=spec.epochs,
        minibatches=spec.minibatches,
        clip_range_low=spec.clip_range_low,
        clip_range_high=spec.clip_range_high,
        value_clip_range=spec.value_clip_range,
        dual_clip=spec.dual_clip,
        stop_kl=spec.stop_kl,
        aggregation=spec.aggregation,
        max_new_tokens=spec.decoding.max_new_tokens,
        tokens=AUTO_TOKENS if rows == "auto" else sys.maxsize,
        rows=None if rows == "auto" else rows,
    )


def _controller(kl: KlSpec) -> Controller:
    if kl.control == "fixed":
        return FixedKl(kl.coefficient)
    return AdaptiveKl(kl.coefficient, kl.target, kl.horizon)


def _shaping(spec: PpoSpec) -> Shaping:
    shaping, overlong = spec.shaping, spec.shaping.overlong
    return Shaping(
        clip=shaping.clip,
        max_new_tokens=spec.decoding.max_new_tokens,
        overlong_buffer=None if overlong is None else overlong.buffer,
        overlong_factor=1.0 if overlong is None else overlong.factor,
        missing_eos=shaping.missing_eos.mode,
        missing_eos_value=shaping.missing_eos.value,
    )


class _Saver:
    """Writes a checkpoint when one is due: every so many updates, or minutes."""

    def __init__(self, io: StageIO) -> None:
        self._io = io
        self._saved_at = time.monotonic()

    def __call__(self, update: int, state: Callable[[], dict[str, Any]]) -> None:
        settings = self._io.settings
        every, minutes = settings.save_every_steps, settings.save_every_minutes
        is_time = minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes
        due = (every is not None and update % every == 0) or is_time
        if group.first_says(due):  # clocks differ, and no process may run ahead of a checkpoint
            if rank() == 0:
                self._write(update, full_state(state()))
            self._saved_at = time.monotonic()

    def _write(self, update: int, state: dict[str, Any]) -> None:
        root = self._io.output.checkpoints
        folder = root / f"checkpoint-{update}"
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(state, folder / "state.pt")
        seal(folder)
        found = sorted(root.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        for old in found[: -self._io.settings.keep_checkpoints]:
            shutil.rmtree(old)


def _resume(loop: Loop, io: StageIO) -> None:
    """Go on from the newest whole checkpoint; what was logged after it is cut off."""
    checkpoint: Path | None = newest_complete(io.output.checkpoints)
    if checkpoint is not None:
        loop.restore(torch.load(checkpoint / "state.pt", weights_only=True))
    if rank() == 0:
        MetricsLog(io.output.metrics).cut_back(loop.update if checkpoint else -1)
        MetricsLog(io.output.samples).cut_back(loop.update if checkpoint else -1)
        if checkpoint is None:
            MetricsLog(io.output.metrics).append(0, {TOTAL_STEPS: loop.updates}, "schedule")


def _save(models: Models, tokenizer: PreTrainedTokenizerBase, spec: PpoSpec, io: StageIO) -> None:
    policy: Any = models.policy.module.model
    value: Any = models.value.module.model
    policy.generation_config.update(
        do_sample=True,
        temperature=spec.decoding.temperature,
        max_new_tokens=spec.decoding.max_new_tokens,
    )
    tokenizer.padding_side = "left"  # the side for generation, which is what a saved policy is for
    save_model(policy, tokenizer, io.output)
    contract_of(tokenizer).save(io.output.model)
    merged = value.merge_and_unload() if isinstance(value, PeftModel) else value
    merged.save_pretrained(io.output.path / "value", safe_serialization=True)
    tokenizer.save_pretrained(io.output.path / "value")
