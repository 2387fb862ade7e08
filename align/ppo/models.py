"""Models: a PPO specification -> policy, reference and value model, ready to be asked and trained.

Reads   policy and value model (a folder or Hub id)
"""

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from peft import PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from align.generation.sampler import TransformersSampler
from align.models.adapter import lora_config
from align.models.attention import use_short_attention
from align.models.causal import load_policy, load_reference
from align.models.dropout import disable_dropout
from align.models.quantization import loading, quantization_of
from align.models.scalar import load_reward_model
from align.models.shared_base import adapter_over, head_of, scalar_over, scalar_with_adapter
from align.ppo.collect import Asking, Reference, cheapest
from align.ppo.forward import CompletionLogprobs, CompletionValues
from align.ppo.spec import OptimizerSpec, PpoSpec
from align.rewards.holding import Holding, always_whole
from align.runtime.engine import Engine
from align.runtime.stage_io import StageIO
from align.runtime.zero import FrozenLayers, ZeroEngine, gathered

# Tokens of one batch that is generated, prompts and room for answers included: few batches, few steps.
SAMPLE_TOKENS = {"cpu": 16384, "cuda": 65536}


@dataclass(frozen=True)
class Models:
    """Who takes part: the policy, as it is trained and as it answers, the reference, and the value model."""

    policy: Engine
    sampler: TransformersSampler
    reference: Reference
    value: Engine


def shares_base(spec: PpoSpec, io: StageIO) -> bool:
    """Whether models are adapters over one base; weights that ZeRO-3 shards belong to one engine each."""
    return spec.adapter is not None and io.resources.zero_stage != 3


def load_base(spec: PpoSpec, io: StageIO, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The policy before training, on the device of this machine."""
    attention = io.resources.attention
    model = load_policy(
        io.locate(spec.policy.path),
        spec.policy,
        tokenizer,
        attention=attention,
        quantization=_quantization(spec),
    )
    ready: PreTrainedModel = _ready(model, io)
    return ready


def _quantization(spec: PpoSpec) -> dict[str, Any]:
    return loading(spec.adapter, bf16=spec.precision == "bf16")


def build_models(
    spec: PpoSpec,
    io: StageIO,
    tokenizer: PreTrainedTokenizerBase,
    base: PreTrainedModel,
    usual: tuple[float, float] = (0.0, 1.0),
) -> Models:
    """Make the models that are asked and trained. With adapters all that can reads the one frozen `base`.

    `usual` is the mean and deviation of scores that count as 0 and 1: a reward model's head is rescaled by
    them before it judges values.
    """
    values = CompletionValues(_ready(_value(spec, io, tokenizer, base, usual), io))
    adapter = lora_config(spec.adapter, base, tokenizer, "CAUSAL_LM")
    policy: Any = base if adapter is None else get_peft_model(base, adapter).eval()
    disable_dropout(policy)  # the adapter's too
    tokens = SAMPLE_TOKENS[io.settings.hardware.accelerator]
    sampler = TransformersSampler(
        policy, tokenizer, spec.decoding, batch_tokens=tokens, weights_stay=not _is_by_layer(io)
    )

    def asked(model: Any) -> CompletionLogprobs:
        return CompletionLogprobs(model, spec.decoding.temperature, sampler.forbidden)

    engine = _engine(asked(policy), spec.policy_optimizer, spec, io)
    frozen = None
    if adapter is None:
        # In the precision that the policy's own weights take: before the first step both say the same.
        dtype = torch.bfloat16 if spec.precision == "bf16" and io.resources.deepspeed else torch.float32
        settings: Any = {"attention": io.resources.attention, "dtype": dtype}
        source = io.locate(spec.policy.path)
        frozen = asked(_ready(load_reference(source, spec.policy, tokenizer, **settings), io))
    reference = Reference(engine, frozen, _asking(frozen, spec, io))
    return Models(engine, sampler, reference, _engine(values, spec.value_optimizer, spec, io))


def _asking(frozen: CompletionLogprobs | None, spec: PpoSpec, io: StageIO) -> Asking:
    """How a frozen copy is asked: under ZeRO-3 its weights are spread over the processes in between."""
    if frozen is None:
        return nullcontext
    if _is_by_layer(io):
        device = frozen.model.device
        return FrozenLayers(frozen, spec.precision == "bf16", *cheapest(device)).asking
    return partial(holding_of(io), frozen)


def _is_by_layer(io: StageIO) -> bool:
    return io.resources.zero_stage == 3 and not io.resources.ds3_gather_for_generation


def holding_of(io: StageIO) -> Holding:
    """Where models are that are only asked, while they are not: under ZeRO-3 spread over the processes."""
    return gathered if io.resources.zero_stage == 3 else always_whole


def _value(
    spec: PpoSpec,
    io: StageIO,
    tokenizer: PreTrainedTokenizerBase,
    base: PreTrainedModel,
    usual: tuple[float, float],
) -> Any:
    start, shares = spec.value or spec.policy, shares_base(spec, io)
    source = io.locate(start.path)
    trained = None
    if shares and spec.value:
        trained = adapter_over(source, io.locate(spec.policy.path), quantization_of(base))
    if trained is not None:
        sys.stdout.write("policy and value model share one base\n")
        return _rescaled(scalar_with_adapter(base, trained, trainable=True), *usual)
    model: Any
    if shares and not spec.value:
        model = scalar_over(base)
    else:
        model = load_reward_model(
            source, start, tokenizer, attention=io.resources.attention, quantization=_quantization(spec)
        )
    if spec.value:
        _rescaled(model, *usual)
    else:
        nn.init.zeros_(model.score.weight)
    adapter = lora_config(spec.adapter, model, tokenizer, "SEQ_CLS")
    return model if adapter is None else get_peft_model(model, adapter)


@torch.no_grad()
def _rescaled(model: Any, mean: float, deviation: float) -> Any:
    """The model, whose head now gives (score - mean) / deviation."""
    head_of(model).weight.div_(deviation)
    model.config.value_shift = (getattr(model.config, "value_shift", 0.0) - mean) / deviation
    return model


def _ready(model: Any, io: StageIO) -> Any:
    """On its device, in evaluation mode and without dropout: what is sampled is what is trained."""
    device = torch.device(io.settings.hardware.accelerator)
    disable_dropout(model)
    if device.type == "cpu":
        bare: Any = model.get_base_model() if isinstance(model, PeftModel) else model
        use_short_attention(bare)
    return model.to(device).eval()


def _engine(module: nn.Module, settings: OptimizerSpec, spec: PpoSpec, io: StageIO) -> Engine:
    def optimizer(weights: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            weights,
            lr=settings.learning_rate,
            betas=settings.betas,
            eps=settings.epsilon,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    given: Any = {"max_grad_norm": settings.max_grad_norm, "bf16": spec.precision == "bf16"}
    section, gather = io.resources.deepspeed, io.resources.ds3_gather_for_generation
    if section:
        return ZeroEngine(module, optimizer, section, gather=gather, **given)
    return Engine(module, optimizer, **given)
