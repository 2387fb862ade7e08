"""Resources: the machine, how work is spread over it, and the split of a global batch. Never identity."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from align.config.deepspeed_section import section_problems
from align.config.spec import Bool, Positive, PositiveInt, Spec

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class Hardware(Spec):
    """What one run may use. `devices` is per host; `precision: auto` asks the processor.

    `price_per_device_hour` is what a device costs in an hour, in whatever currency; reports multiply by it.
    """

    name: str
    accelerator: Literal["cpu", "cuda"]
    devices: PositiveInt = 1
    hosts: PositiveInt = 1
    memory_gib: Positive
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    price_per_device_hour: Positive | None = None

    def price(self, seconds: float) -> float | None:
        """What all devices cost in that time; None where no price is configured."""
        if self.price_per_device_hour is None:
            return None
        return self.price_per_device_hour * self.devices * self.hosts * seconds / 3600


@dataclass(frozen=True, kw_only=True)
class Parallel(Spec):
    """How processes share a model. `deepspeed` is a section of DeepSpeed's own; null means torch or DDP."""

    name: str
    deepspeed: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if found := [f"deepspeed.{line}" for line in section_problems(self.deepspeed or {})]:
            raise ValueError("\n".join(found))

    @property
    def zero_stage(self) -> int:
        """What is spread over the processes: optimiser states (1), gradients too (2), weights too (3)."""
        return int((self.deepspeed or {}).get("zero_optimization", {}).get("stage", 0))


@dataclass(frozen=True, kw_only=True)
class StageResources(Spec):
    """Logistics of one stage: `resources.<stage>.<field>`; fields left out come from `resources.default`.

    Under ZeRO-3 PPO generates and reads with all weights gathered; without `ds3_gather_for_generation` it
    fetches them layer by layer, which is slower, for models that do not fit into one device's memory.
    """

    micro_batch: PositiveInt | Literal["auto"] = "auto"
    parallel: Parallel | None = None
    activation_checkpointing: Bool = False
    ds3_gather_for_generation: Bool = True
    attention: Literal["sdpa", "eager", "flash_attention_2", "flash_attention_3"] = "sdpa"
    torch_compile: Bool = False
    liger: Bool = False
    trainer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def deepspeed(self) -> Mapping[str, Any] | None:
        """DeepSpeed's section; None where processes share the model without it."""
        return None if self.parallel is None else self.parallel.deepspeed

    @property
    def zero_stage(self) -> int | None:
        """The section's ZeRO stage; None without one."""
        return None if self.parallel is None or self.deepspeed is None else self.parallel.zero_stage


@dataclass(frozen=True)
class BatchSplit:
    """A global batch spread over devices: `micro_batch * accumulation * devices` rows per optimiser step."""

    micro_batch: int
    accumulation: int
    devices: int


# What one forward and backward pass holds under `micro_batch: auto`: enough to keep a device busy, few enough
# that batches of long rows neither fill its memory nor pad each other to the longest.
AUTO_TOKENS = 4096


def split(
    batch_size: int, devices: int, micro_batch: int | Literal["auto"], row_tokens: int | None = None
) -> BatchSplit:
    """Spread a global batch over devices without remainder.

    `auto` gives each device its whole share at once, or as much of it as AUTO_TOKENS allow where a row may be
    up to `row_tokens` long.

    Raises:
        ValueError: the batch does not divide by devices, or a device's share by the micro-batch.
    """
    share, rest = divmod(batch_size, devices)
    if rest or not share:
        raise ValueError(f"batch_size {batch_size} does not divide by {devices} devices")
    micro = _fitting(share, row_tokens) if micro_batch == "auto" else min(micro_batch, share)
    accumulation, rest = divmod(share, micro)
    if rest:
        raise ValueError(f"a device's share of {share} rows does not divide by micro_batch {micro}")
    return BatchSplit(micro, accumulation, devices)


def _fitting(share: int, row_tokens: int | None) -> int:
    """The largest part of a device's share, without remainder, that AUTO_TOKENS allow; one row at least."""
    most = share if row_tokens is None else max(1, AUTO_TOKENS // row_tokens)
    return next(rows for rows in range(min(share, most), 0, -1) if share % rows == 0)


def resolve_precision(precision: str, accelerator: str, processor: Path = Path("/proc/cpuinfo")) -> str:
    """`auto` as the machine has it: bf16 on a GPU and on a CPU with bf16 instructions, else fp32."""
    if precision != "auto":
        return precision
    if accelerator == "cuda":
        return "bf16"
    flags = processor.read_text().split() if processor.exists() else []
    return "bf16" if {"avx512_bf16", "amx_bf16"} & set(flags) else "fp32"
