"""Train: a PPO specification on a machine -> models, the loop over them, and a saved policy.

Reads   policy, value model, prompts, checkpoints/ of an interrupted run
Writes  model/, value/, adapter/, ask.py, metrics.jsonl, samples.jsonl, data.json, checkpoints/
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from align.artifacts.durable import write_json
from align.config.plugin import PluginSpec
from align.config.resources import AUTO_TOKENS
from align.data.errors import DataError
from align.data.language_report import report_languages
from align.data.records import Conversation, Prompt, Text
from align.data.source import load_rows
from align.data.spec import DataSpec
from align.models.context import context_of
from align.models.tokenizer import control_tokens_of, load_model_tokenizer
from align.ppo.alarms import Alarms
from align.ppo.collect import Collector
from align.ppo.imitation import Imitation, as_demonstrations
from align.ppo.journal import Journal
from align.ppo.kl import AdaptiveKl, Controller, FixedKl
from align.ppo.loop import Loop, LoopSettings
from align.ppo.models import Models, build_models, holding_of, load_base, shares_base
from align.ppo.prompts import Asked, PromptPlan, fitting, longest_prompt, too_long
from align.ppo.saving import Saver, resumable, resume, save_models
from align.ppo.schedule import Schedule
from align.ppo.score import WeightedSource, score_completions
from align.ppo.selection import FIRST_EPISODE, Selection
from align.ppo.shaping import Shaping
from align.ppo.snippet import write_snippet
from align.ppo.spec import KlSpec, PpoSpec
from align.ppo.summary import summary
from align.ppo.update import Updater, UpdateSettings
from align.rewards.function import located_source
from align.rewards.holding import hold
from align.rewards.learned import share_base
from align.runtime import group
from align.runtime.processes import rank
from align.runtime.stage_io import StageIO
from align.runtime.trackers import Trackers

DEMONSTRATIONS = 512  # rows that tell what scores are usual
# What is learnt from at once; batches of a CPU are small, as they stay in its cache.
LEARN_TOKENS = {"cpu": 2048, "cuda": AUTO_TOKENS}
READ_TOKENS = {"cpu": 2048, "cuda": 4 * AUTO_TOKENS}  # without gradients no activations are kept


def train(spec: PpoSpec, io: StageIO) -> None:
    """Build what the loop needs, run it, and save the policy and the value model.

    Raises:
        TrainingBroke: see `Loop.run`.
        DataError: no prompt fits.
        ConfigError: a checkpoint was written by a layout that this run cannot read.
    """
    set_seed(spec.seed)
    checkpoint = resumable(io)
    tokenizer = load_model_tokenizer(io.locate(spec.policy.path), spec.policy)
    sources = {name: _source(entry.source, io, entry.weight) for name, entry in spec.rewards.items()}
    base = load_base(spec, io, tokenizer)
    if shares_base(spec, io):
        share_base(base, io.locate(spec.policy.path), [entry.source for entry in sources.values()])
    shaping = _shaping(spec, io, sources)
    models = build_models(spec, io, tokenizer, base, (shaping.mean, shaping.deviation))
    with Trackers(io.settings.trackers if rank() == 0 else (), io.name, io.output.events) as trackers:
        loop = _loop(spec, io, tokenizer, models, sources, shaping, trackers)
        resume(loop, checkpoint, io)
        loop.run()
    with models.policy.sampling(models.sampler.model, models.sampler.idle):
        if rank() == 0:
            greedy = models.sampler.with_decoding(replace(spec.decoding, temperature=0))
            write_snippet(io.output, greedy, loop.first_prompt, spec.decoding.max_new_tokens)
    models.policy.release()
    models.value.release()
    if rank() == 0:
        save_models(models, tokenizer, spec, io)
        sys.stdout.writelines(f"{line}\n" for line in summary(io.output))
    group.wait()


def _loop(
    spec: PpoSpec,
    io: StageIO,
    tokenizer: PreTrainedTokenizerBase,
    models: Models,
    sources: Mapping[str, WeightedSource],
    shaping: Shaping,
    trackers: Trackers,
) -> Loop:
    policy: Any = models.policy.module.model
    value: Any = models.value.module.model
    settings = LoopSettings(
        updates=spec.updates,
        rollout_batch_size=spec.batch_size,
        gamma=spec.gamma,
        gae_lambda=spec.gae_lambda,
        whiten=spec.whiten,
        kl_cap=spec.kl.cap,
        kl_in_loss=spec.kl.in_loss is not None,
        max_invalid=spec.max_invalid,
        seed=spec.seed,
    )
    schedule = Schedule(
        updates=spec.updates,
        steps_per_update=spec.epochs * spec.minibatches,
        policy=spec.policy_optimizer,
        value=spec.value_optimizer,
        value_warmup_updates=spec.value_warmup_updates,
    )
    plan, held_out = _prompts(spec, io, tokenizer, policy, value)
    collector = _collector(spec, io, tokenizer, models, sources)
    target = spec.kl.target if spec.kl.control == "adaptive" else None
    alarms = Alarms(target, [*spec.measured])
    journal = Journal(io.output, io.settings.log_every_steps, alarms, trackers)
    return Loop(
        settings,
        prompts=plan,
        collector=collector,
        updater=Updater(
            models.policy, models.value, _update_settings(spec, io), _imitation(spec, io, tokenizer, policy)
        ),
        controller=_controller(spec.kl),
        shaping=shaping,
        schedule=schedule,
        log=journal,
        save=Saver(io),
        selection=_selection(spec, io, collector, held_out, journal),
    )


def _collector(
    spec: PpoSpec,
    io: StageIO,
    tokenizer: PreTrainedTokenizerBase,
    models: Models,
    sources: Mapping[str, WeightedSource],
) -> Collector:
    measured = {name: _source(item, io) for name, item in spec.measured.items()}
    return Collector(
        sampler=models.sampler,
        policy=models.policy,
        value=models.value,
        reference=models.reference,
        sources=sources,
        measured=measured,
        pad=tokenizer.pad_token_id,
        tokens=READ_TOKENS[io.settings.hardware.accelerator],
    )


def _prompts(
    spec: PpoSpec, io: StageIO, tokenizer: PreTrainedTokenizerBase, *readers: PreTrainedModel
) -> tuple[PromptPlan, list[Asked]]:
    """What is asked in training, in order, and what is held out for the judge."""
    loaded = load_rows(spec.data, Prompt, io.outputs, control_tokens=control_tokens_of(tokenizer))
    longest = longest_prompt(spec, *map(context_of, readers))
    fit = fitting(loaded.train, tokenizer, longest, spec.data.screening)
    held_out = []
    if spec.selection is not None:
        asked = fitting(loaded.held_out[: spec.selection.prompts], tokenizer, longest)
        pairs = enumerate(zip(asked.prompts, asked.tokens, strict=True), start=FIRST_EPISODE)
        held_out = [Asked(prompt, tuple(tokens), number) for number, (prompt, tokens) in pairs]
    report = {
        "loaded": loaded.report.as_dict(),
        "prompts": {
            "kept": len(fit.prompts),
            "dropped": len(loaded.train) - len(fit.prompts),
            "findings": [finding.as_dict() for finding in fit.findings],
        },
    }
    if rank() == 0:
        told = [*loaded.report.lines(), *(finding.warning() for finding in fit.findings)]
        sys.stdout.write("\n".join([*told, f"{len(fit.prompts)} prompts kept", ""]))
        io.output.path.mkdir(parents=True, exist_ok=True)
        write_json(io.output.data, report)
        report_languages(
            loaded, tokenizer, io.output.languages, lambda part: too_long(part, tokenizer, longest)
        )
    return PromptPlan(fit.prompts, fit.tokens, spec.seed, [*loaded.train_spans()]), held_out


def _imitation(
    spec: PpoSpec, io: StageIO, tokenizer: PreTrainedTokenizerBase, policy: PreTrainedModel
) -> Imitation | None:
    if spec.ptx is None:
        return None
    found = load_rows(
        spec.ptx.data, Conversation | Text, io.outputs, control_tokens=control_tokens_of(tokenizer)
    )
    demonstrations = as_demonstrations(found.train, tokenizer, context_of(policy))
    return Imitation(demonstrations, spec.ptx.coefficient, spec.ptx.batch_size, spec.seed)


def _selection(
    spec: PpoSpec, io: StageIO, collector: Collector, held_out: Sequence[Asked], journal: Journal
) -> Selection | None:
    if spec.selection is None:
        return None
    if len(held_out) < group.size():
        raise DataError(
            f"selection: {len(held_out)} held-out prompts are too few for {group.size()} processes; raise "
            "data.held_out"
        )
    judge = _source(spec.selection.judge, io)
    return Selection(
        replace(collector, sources={"judge": judge}, measured={}),
        held_out[rank() :: group.size()],
        every=spec.selection.every,
        kl_cap=spec.selection.kl_cap,
        log=journal.held_out,
    )


def _source(plugin: PluginSpec, io: StageIO, weight: float = 1.0) -> WeightedSource:
    source = located_source(plugin, io.locate)
    hold(source, holding_of(io))
    return WeightedSource(source, weight)


def _update_settings(spec: PpoSpec, io: StageIO) -> UpdateSettings:
    rows = io.resources.micro_batch
    return UpdateSettings(
        epochs=spec.epochs,
        minibatches=spec.minibatches,
        clip_range_low=spec.clip_range_low,
        clip_range_high=spec.clip_range_high,
        value_clip_range=spec.value_clip_range,
        dual_clip=spec.dual_clip,
        importance_cap=spec.importance_cap,
        stop_kl=spec.stop_kl,
        kl_in_loss=spec.kl.in_loss,
        entropy_bonus=spec.entropy_bonus,
        aggregation=spec.aggregation,
        max_new_tokens=spec.decoding.max_new_tokens,
        tokens=LEARN_TOKENS[io.settings.hardware.accelerator] if rows == "auto" else sys.maxsize,
        rows=None if rows == "auto" else rows,
    )


def _controller(kl: KlSpec) -> Controller:
    if kl.control == "fixed":
        return FixedKl(kl.coefficient)
    highest = math.inf if kl.highest is None else kl.highest
    return AdaptiveKl(kl.coefficient, kl.target, kl.horizon, kl.lowest or 0.0, highest)


def _shaping(spec: PpoSpec, io: StageIO, sources: Mapping[str, WeightedSource]) -> Shaping:
    shaping, overlong = spec.shaping, spec.shaping.overlong
    mean, deviation = (0.0, 1.0)
    if shaping.demonstrations is not None:
        mean, deviation = _usual_score(shaping.demonstrations, io, sources)
    return Shaping(
        mean=mean,
        deviation=deviation,
        clip=shaping.clip,
        max_new_tokens=spec.decoding.max_new_tokens,
        overlong_buffer=None if overlong is None else overlong.buffer,
        overlong_factor=1.0 if overlong is None else overlong.factor,
        missing_eos=shaping.missing_eos.mode,
        missing_eos_value=shaping.missing_eos.value,
    )


def _usual_score(data: DataSpec, io: StageIO, sources: Mapping[str, WeightedSource]) -> tuple[float, float]:
    """Mean and deviation of the score of demonstrated answers."""
    rows = load_rows(data, Conversation, io.outputs).train[:DEMONSTRATIONS]
    prompts = [Prompt(row.messages[:-1]) for row in rows]
    scored = score_completions(sources, prompts, [row.messages[-1].content for row in rows])
    scores = scored.total[scored.valid].double()
    if len(scores) < 2 or not scores.std() > 0:
        raise DataError(
            "shaping.demonstrations: their scores do not vary, so nothing can be normalised by them"
        )
    return float(scores.mean()), float(scores.std(correction=0))
