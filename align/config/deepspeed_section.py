"""DeepSpeed's section, as `parallel.deepspeed` passes it through: what is wrong with it, without DeepSpeed.

DeepSpeed itself ignores a top-level key that it does not know, and does not see where the stage says another
thing than the section. Source: deepspeed 0.19, runtime/config.py and runtime/zero/config.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from align.config.suggest import did_you_mean

AUTO = "auto"  # a value that the pipeline fills in

_PRECISION = "set stages.<name>.precision: fp32 | bf16"
_TRACKING = "choose tracking=..."
_CLIPPING = "set trainer.max_grad_norm, or max_grad_norm of PPO's policy_optimizer and value_optimizer"
_DATA = "batches are planned by the pipeline"

# Top-level keys that the pipeline sets itself, and what to set instead.
OWNED: Mapping[str, str] = {
    "optimizer": "set trainer.optim and trainer.learning_rate, or PPO's policy_optimizer and value_optimizer",
    "scheduler": "set trainer.lr_scheduler_type, or warmup and final of PPO's policy_optimizer",
    "fp16": _PRECISION,
    "amp": _PRECISION,
    "torch_autocast": _PRECISION,
    "data_types": _PRECISION,
    "managed_gradient_accumulation": "set batch_size (global) and resources.<stage>.micro_batch",
    "dataloader_drop_last": "set trainer.dataloader_drop_last",
    "gradient_allreduce_op": "gradients are averaged",
    "activation_checkpointing": "set resources.<stage>.activation_checkpointing",
    "compile": "set resources.<stage>.torch_compile",
    "tensorboard": _TRACKING,
    "wandb": _TRACKING,
    "csv_monitor": _TRACKING,
    "comet": _TRACKING,
    "curriculum_learning": _DATA,
    "data_efficiency": _DATA,
    "elasticity": "set hardware.devices",
    "autotuning": "write the section out",
}

# Keys that may be `auto`, or agree with what the stage says.
BATCH_KEYS = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps")

PASSED: frozenset[str] = frozenset(
    {
        *BATCH_KEYS,
        "aio",
        "bf16",
        "checkpoint",
        "comms_logger",
        "communication_data_type",
        "disable_allgather",
        "disable_python_gc",
        "dump_state",
        "flops_profiler",
        "gradient_clipping",
        "gradient_predivide_factor",
        "log_level",
        "memory_breakdown",
        "prescale_gradients",
        "steps_per_print",
        "timers",
        "wall_clock_breakdown",
        "zero_allow_untested_optimizer",
        "zero_force_ds_cpu_optimizer",
        "zero_optimization",
    }
)

ZERO: frozenset[str] = frozenset(
    {
        "allgather_bucket_size",
        "allgather_partitions",
        "contiguous_gradients",
        "elastic_checkpoint",
        "ignore_unused_parameters",
        "leaf_module",
        "legacy_stage1",
        "load_from_fp32_weights",
        "log_trace_cache_warnings",
        "memory_efficient_linear",
        "offload_optimizer",
        "offload_param",
        "overlap_comm",
        "override_module_apply",
        "parameter_alignment",
        "pipeline_loading_checkpoint",
        "reduce_bucket_size",
        "reduce_scatter",
        "round_robin_gradients",
        "stage",
        "stage3_allgather_sequential",
        "stage3_gather_16bit_weights_on_model_save",
        "stage3_max_live_parameters",
        "stage3_max_reuse_distance",
        "stage3_model_persistence_threshold",
        "stage3_module_granularity_threshold",
        "stage3_param_persistence_threshold",
        "stage3_prefetch_bucket_size",
        "stage3_use_all_reduce_for_fetch_params",
        "sub_group_size",
        "use_multi_rank_bucket_allreduce",
        "zero_hpz_partition_size",
        "zero_quantized_gradients",
        "zero_quantized_nontrainable_weights",
        "zero_quantized_weights",
    }
)
OFFLOADS: Mapping[str, tuple[str, ...]] = {
    "offload_optimizer": (
        *("device", "nvme_path", "buffer_count", "pin_memory", "pipeline_read", "pipeline_write"),
        *("fast_init", "ratio"),
    ),
    "offload_param": ("device", "nvme_path", "buffer_count", "buffer_size", "max_in_cpu", "pin_memory"),
}
DEVICES = ("none", "cpu", "nvme")


def section_problems(section: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a section, one `dotted.key: message` per mistake."""
    for key, value in section.items():
        if key in OWNED:
            yield f"{key}: set by the pipeline; {OWNED[key]}"
        elif key not in PASSED:
            known = did_you_mean(key, PASSED)
            yield f"{key}: not a key of DeepSpeed's that the pipeline passes on{known or '; leave it out'}"
        elif key in BATCH_KEYS and value != AUTO and (type(value) is not int or value < 1):
            yield f"{key}: should be {AUTO} or a positive number (got {value!r})"
    if section.get("gradient_clipping", AUTO) != AUTO:
        yield f"gradient_clipping: set by the pipeline; leave it {AUTO} and {_CLIPPING}"
    precision = section.get("bf16", {})
    if not isinstance(precision, Mapping) or precision.get("enabled", AUTO) != AUTO:
        yield f"bf16: set by the pipeline; write {{enabled: {AUTO}}} and {_PRECISION}"
    checkpoint = section.get("checkpoint", {})
    if isinstance(checkpoint, Mapping) and "load_universal" in checkpoint:
        yield "checkpoint.load_universal: set by the pipeline; set checkpoints.universal"
    yield from (f"zero_optimization{line}" for line in _zero_problems(section.get("zero_optimization", {})))


def _zero_problems(zero: Any) -> Iterator[str]:
    if not isinstance(zero, Mapping):
        yield f": should be a mapping (got {zero!r})"
        return
    for key in zero:
        if key not in ZERO:
            known = did_you_mean(key, ZERO)
            yield f".{key}: not a key of DeepSpeed's{known or '; see its documentation of ZeRO'}"
    stage = zero.get("stage", 0)
    if type(stage) is not int or stage not in range(4):
        yield f".stage: should be 0, 1, 2 or 3 (got {stage!r})"
        stage = 3
    for key in OFFLOADS:
        if zero.get(key) is not None:
            yield from (f".{key}{line}" for line in _offload_problems(key, zero[key], stage))


def _offload_problems(name: str, offload: Any, stage: int) -> Iterator[str]:
    if not isinstance(offload, Mapping):
        yield f": should be a mapping (got {offload!r})"
        return
    for key in offload:
        if key not in OFFLOADS[name]:
            yield f".{key}: not a key of DeepSpeed's{did_you_mean(key, OFFLOADS[name])}"
    device = offload.get("device", "none")
    if device not in DEVICES:
        close = did_you_mean(str(device), DEVICES)
        yield f".device: should be one of {', '.join(DEVICES)} (got {device!r}){close}"
    elif device == "nvme" and not offload.get("nvme_path"):
        yield ".nvme_path: required, but not set: a folder on the drive"
    least = 3 if name == "offload_param" or device == "nvme" else 1
    if device != "none" and stage < least:
        yield f": needs zero_optimization.stage {least}{' or above' if least < 3 else ''} (it is {stage})"


def batch_problems(section: Mapping[str, Any], numbers: Mapping[str, int], stage: str) -> Iterator[str]:
    """Batch sizes that contradict a stage's own: `numbers` are its values of BATCH_KEYS."""
    for key, number in numbers.items():
        if section.get(key, AUTO) not in (AUTO, number):
            yield (
                f"{key}: {section[key]} contradicts the {number} of stages.{stage}; leave it {AUTO} and set "
                f"stages.{stage}.batch_size or resources.{stage}.micro_batch"
            )


def nvme_paths(section: Mapping[str, Any]) -> dict[str, str]:
    """Dotted key -> folder, of everything that a section puts on a drive."""
    zero = section.get("zero_optimization", {})
    offloads = {name: zero.get(name) or {} for name in OFFLOADS}
    return {
        f"zero_optimization.{name}.nvme_path": str(offload["nvme_path"])
        for name, offload in offloads.items()
        if offload.get("device") == "nvme"
    }
