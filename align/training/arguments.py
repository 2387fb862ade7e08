"""Arguments: stage + resources -> TRL's own configuration object. Torch-free at import: the parent reads the
tables.

Every field of trl.SFTConfig, RewardConfig and DPOConfig is in exactly one of three lists: owned (has a key of
ours, refused under `trainer`), machine (allowed under `resources.<stage>.trainer`, never identity) and
identity (the rest, under `stages.<name>.trainer`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from align.config.passthrough import field_table, problems
from align.config.resources import BatchSplit
from align.runtime.stage_io import StageIO

if TYPE_CHECKING:
    from align.training.spec import TrainingSpec

_SELECTION = "set selection: {eval_every, metric, mode, best, patience}"
_CHECKPOINTS = "set checkpoints.{every_steps, every_minutes, keep}"
_LOGGING = "set logging.every_steps"
_TRACKING = "choose tracking=..."
_BATCH = "set batch_size (global) and resources.<stage>.micro_batch"
_PRECISION = "set precision: fp32 | bf16"
_ACTIVATIONS = "set resources.<stage>.activation_checkpointing"
_PUBLISH = "set run.publish=/path and upload the folder"
_MODEL = "set the fields of the stage's model"
_TEMPLATE = "set the model's chat_template; the tokenizer's special tokens follow from it"
_TOKENISED = "rows are rendered and tokenised before the trainer sees them; set corpus.<name> instead"
_BATCHED = "batches are planned by length from seed and batch_size"
_PACKED = "rows are batched by length instead of packed"
_RESUME = "an interrupted stage resumes by itself; run.fresh=[stage] starts over"
_PARALLEL = "choose parallel=... or set resources.<stage>.parallel"
_LOSS_ONLY = "evaluation measures the loss and the trainer's own metrics"

OWNED: Mapping[str, str] = {
    "output_dir": "set paths.outputs",
    "run_name": "set run.name",
    "project": _TRACKING,
    "report_to": _TRACKING,
    "trackio_space_id": _TRACKING,
    "trackio_bucket_id": _TRACKING,
    "trackio_static_space_id": _TRACKING,
    "seed": "set seed",
    "data_seed": "set seed",
    "per_device_train_batch_size": _BATCH,
    "gradient_accumulation_steps": _BATCH,
    "auto_find_batch_size": _BATCH,
    "bf16": _PRECISION,
    "fp16": _PRECISION,
    "bf16_full_eval": _PRECISION,
    "fp16_full_eval": _PRECISION,
    "use_cpu": "choose hardware=...",
    "local_rank": "choose hardware=... and launcher=...",
    "activation_checkpointing": _ACTIVATIONS,
    "gradient_checkpointing": _ACTIVATIONS,
    "gradient_checkpointing_kwargs": "set resources.<stage>.trainer.activation_checkpointing_kwargs",
    "torch_compile": "set resources.<stage>.torch_compile",
    "use_liger_kernel": "set resources.<stage>.liger",
    "logging_strategy": _LOGGING,
    "logging_steps": _LOGGING,
    "logging_first_step": _LOGGING,
    "logging_nan_inf_filter": "a loss that is not finite stops the stage",
    "disable_tqdm": "the run prints one live line per stage",
    "eval_strategy": _SELECTION,
    "eval_steps": _SELECTION,
    "eval_delay": _SELECTION,
    "eval_on_start": "the held-out split is always evaluated before and after training",
    "load_best_model_at_end": _SELECTION,
    "metric_for_best_model": _SELECTION,
    "greater_is_better": _SELECTION,
    "prediction_loss_only": _LOSS_ONLY,
    "include_for_metrics": _LOSS_ONLY,
    "batch_eval_metrics": _LOSS_ONLY,
    "eval_do_concat_batches": _LOSS_ONLY,
    "eval_use_gather_object": _LOSS_ONLY,
    "label_names": _LOSS_ONLY,
    "save_strategy": _CHECKPOINTS,
    "save_steps": _CHECKPOINTS,
    "save_total_limit": _CHECKPOINTS,
    "save_only_model": _CHECKPOINTS,
    "save_on_each_node": "paths.outputs is shared by all hosts",
    "enable_jit_checkpoint": _CHECKPOINTS,
    "resume_from_checkpoint": _RESUME,
    "ignore_data_skip": _RESUME,
    "restore_callback_states_from_checkpoint": _RESUME,
    "push_to_hub": _PUBLISH,
    "hub_token": _PUBLISH,
    "hub_private_repo": _PUBLISH,
    "hub_model_id": _PUBLISH,
    "hub_strategy": _PUBLISH,
    "hub_always_push": _PUBLISH,
    "hub_revision": _PUBLISH,
    "accelerator_config": _PARALLEL,
    "parallelism_config": _PARALLEL,
    "deepspeed": _PARALLEL,
    "fsdp": _PARALLEL,
    "fsdp_config": _PARALLEL,
    "train_sampling_strategy": _BATCHED,
    "length_column_name": _BATCHED,
    "remove_unused_columns": _TOKENISED,
    "dataset_num_proc": _TOKENISED,
    "dataset_kwargs": _TOKENISED,
    "dataset_text_field": _TOKENISED,
    "shuffle_dataset": _TOKENISED,
    "truncation_mode": "a row over max_length is dropped and counted",
    "completion_only_loss": "only completions are trained on",
    "assistant_only_loss": "only completions are trained on",
    "packing": _PACKED,
    "packing_strategy": _PACKED,
    "eval_packing": _PACKED,
    "padding_free": _PACKED,
    "model_init_kwargs": _MODEL,
    "trust_remote_code": "set the model's trust_remote_code",
    "chat_template_path": _TEMPLATE,
    "eos_token": _TEMPLATE,
    "pad_token": _TEMPLATE,
    "label_smoothing_factor": "TRL's trainers ignore or deprecate it; DPO has trainer.label_smoothing",
    "do_train": "run the stage",
    "do_eval": _SELECTION,
    "do_predict": "run the evaluate stage",
}

MACHINE: frozenset[str] = frozenset(
    {
        "activation_checkpointing_kwargs",
        "activation_offloading",
        "dataloader_in_order",
        "dataloader_multiprocessing_context",
        "dataloader_num_workers",
        "dataloader_persistent_workers",
        "dataloader_pin_memory",
        "dataloader_prefetch_factor",
        "ddp_backend",
        "ddp_broadcast_buffers",
        "ddp_bucket_cap_mb",
        "ddp_find_unused_parameters",
        "ddp_static_graph",
        "ddp_timeout",
        "debug",
        "eval_accumulation_steps",
        "full_determinism",
        "include_num_input_tokens_seen",
        "liger_kernel_config",
        "log_level",
        "log_level_replica",
        "log_on_each_node",
        "pad_to_multiple_of",
        "per_device_eval_batch_size",
        "precompute_ref_batch_size",
        "precompute_ref_log_probs",
        "skip_memory_metrics",
        "tf32",
        "torch_compile_backend",
        "torch_compile_mode",
        "torch_empty_cache_steps",
        "use_cache",
    }
)


def machine_problems(stage: str, given: Mapping[str, Any], target: str) -> list[str]:
    """What is wrong with `resources.<stage>.trainer`, one `key: message` per mistake."""
    table = field_table(target)
    identity = [key for key in given if key in table and key not in OWNED and key not in MACHINE]
    found = [f"{key}: changes what is computed; set stages.{stage}.trainer.{key}" for key in identity]
    rest = {key: value for key, value in given.items() if key not in identity}
    return found + problems(rest, table, owned=OWNED, machine=frozenset(), target=target)


IDENTITY: frozenset[str] = frozenset(
    {
        "adam_beta1",
        "adam_beta2",
        "adam_epsilon",
        "average_tokens_across_devices",
        "beta",
        "center_rewards_coefficient",
        "dataloader_drop_last",
        "disable_dropout",
        "discopop_tau",
        "f_alpha_divergence_coef",
        "f_divergence_type",
        "label_smoothing",
        "ld_alpha",
        "learning_rate",
        "loss_type",
        "loss_weights",
        "lr_scheduler_kwargs",
        "lr_scheduler_type",
        "max_grad_norm",
        "max_length",
        "max_steps",
        "neftune_noise_alpha",
        "num_train_epochs",
        "optim",
        "optim_args",
        "optim_target_modules",
        "ref_model_mixup_alpha",
        "ref_model_sync_steps",
        "router_aux_loss_coef",
        "sync_ref_model",
        "use_weighting",
        "warmup_steps",
        "weight_decay",
    }
)


def build_arguments(
    config_class: type, stage: "TrainingSpec", io: StageIO, names: Mapping[str, str] | None = None
) -> Any:
    """The TRL configuration of one stage on one machine.

    Build it before any weights are loaded and keep it alive: `from_pretrained` consults the live arguments to
    decide whether to shard weights while loading.
    """
    batch = io.split(stage.batch_size, stage.row_tokens)
    given = {**stage.trainer, **io.resources.trainer}
    defaults = _defaults(stage, io, batch)
    return config_class(**defaults | given | _owned(stage, io, batch) | _selection(stage, names or {}))


def _defaults(stage: "TrainingSpec", io: StageIO, batch: BatchSplit) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "per_device_eval_batch_size": 2 * batch.micro_batch,
        "dataloader_pin_memory": io.settings.hardware.accelerator == "cuda",
    }
    if stage.trainer_class == "trl.DPOConfig":
        # One pass before training, in order of length, and no second model in memory during it. A reference
        # that follows the policy, or one that DeepSpeed would have to wrap, is asked step by step.
        is_still = not stage.trainer.get("sync_ref_model") and io.resources.deepspeed is None
        defaults["precompute_ref_log_probs"] = is_still
    return defaults


def _owned(stage: "TrainingSpec", io: StageIO, batch: BatchSplit) -> dict[str, Any]:
    resources, settings = io.resources, io.settings
    every = settings.save_every_steps
    deepspeed = resources.deepspeed
    return {
        "output_dir": str(io.output.checkpoints),
        "seed": stage.seed,
        "per_device_train_batch_size": batch.micro_batch,
        "gradient_accumulation_steps": batch.accumulation,
        "bf16": stage.precision == "bf16",
        "fp16": False,
        "use_cpu": settings.hardware.accelerator == "cpu",
        "activation_checkpointing": resources.activation_checkpointing,
        "torch_compile": resources.torch_compile,
        "use_liger_kernel": resources.liger,
        "deepspeed": dict(deepspeed) if deepspeed else None,
        "logging_steps": settings.log_every_steps,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": list(settings.trackers) or "none",
        "run_name": io.name,
        "save_strategy": "steps" if every else "no",
        "save_steps": every or 500,
        "save_total_limit": None,  # `Checkpoints` removes them, once a newer one is sealed
        "eval_strategy": "no",
    }


def _selection(stage: "TrainingSpec", names: Mapping[str, str]) -> dict[str, Any]:
    selection = stage.selection
    if selection is None:
        return {}
    theirs = {ours: name for name, ours in names.items()}
    return {
        "eval_strategy": "steps",
        "eval_steps": selection.eval_every,
        "metric_for_best_model": f"eval_{theirs.get(selection.metric, selection.metric)}",
        "greater_is_better": selection.mode == "max",
        **({"save_strategy": "best", "load_best_model_at_end": True} if selection.best else {}),
    }
