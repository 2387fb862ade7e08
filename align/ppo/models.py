"""Models: a PPO specification -> policy, reference and value model, ready to be asked and trained.

Reads   policy and value model (a folder or Hub id)
"""

from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedTokenizerBase

from align.generation.sampler import TransformersSampler
from align.models.adapter import lora_config
from align.models.attention import use_short_attention
from align.models.causal import load_policy, load_reference
from align.models.dropout import disable_dropout
from align.models.scalar import load_reward_model
from align.ppo.collect import Reference
from align.ppo.forward import CompletionLogprobs, CompletionValues
from align.ppo.spec import OptimizerSpec, PpoSpec
from align.runtime.engine import Engine
from align.runtime.stage_io import StageIO


@dataclass(frozen=True)
class Models:
    """Who takes part: the policy, as it is trained and as it answers, the reference, and the value model."""

    policy: Engine
    sampler: TransformersSampler
    reference: Reference
    value: Engine


def build_models(
    spec: PpoSpec, io: StageIO, tokenizer: PreTrainedTokenizerBase, usual: tuple[float, float] = (0.0, 1.0)
) -> Models:
    """Load every model once, on the device of this machine.

    `usual` is the mean and deviation of scores that count as 0 and 1: a reward model's head is rescaled by
    them before it judges values.
    """
    source, attention = io.locate(spec.policy.path), io.resources.attention
    device = torch.device(io.settings.hardware.accelerator)
    policy: Any = load_policy(source, spec.policy, tokenizer, attention=attention)
    adapter = lora_config(spec.adapter, policy, tokenizer, "CAUSAL_LM")
    policy = _ready(policy if adapter is None else get_peft_model(policy, adapter), device)
    sampler = TransformersSampler(policy, tokenizer, spec.decoding)

    def asked(model: Any) -> CompletionLogprobs:
        return CompletionLogprobs(model, spec.decoding.temperature, sampler.forbidden)

    engine = _engine(asked(policy), spec.policy_optimizer, spec)
    frozen = None
    if adapter is None:
        reference = load_reference(source, spec.policy, tokenizer, attention=attention)
        frozen = asked(_ready(reference, device))
    value = _engine(CompletionValues(_value(spec, io, tokenizer, device, usual)), spec.value_optimizer, spec)
    return Models(engine, sampler, Reference(engine, frozen), value)


def _value(
    spec: PpoSpec,
    io: StageIO,
    tokenizer: PreTrainedTokenizerBase,
    device: torch.device,
    usual: tuple[float, float],
) -> Any:
    start = spec.value or spec.policy
    model: Any = load_reward_model(io.locate(start.path), start, tokenizer, attention=io.resources.attention)
    if spec.value is None:
        nn.init.zeros_(model.score.weight)
    else:
        _rescale(model, *usual)
    adapter = lora_config(spec.adapter, model, tokenizer, "SEQ_CLS")
    return _ready(model if adapter is None else get_peft_model(model, adapter), device)


@torch.no_grad()
def _rescale(model: Any, mean: float, deviation: float) -> None:
    """Let the head give (score - mean) / deviation."""
    model.score.weight.div_(deviation)
    model.config.value_shift = (getattr(model.config, "value_shift", 0.0) - mean) / deviation


def _ready(model: Any, device: torch.device) -> Any:
    """On its device, in evaluation mode and without dropout: what is sampled is what is trained."""
    disable_dropout(model)
    if device.type == "cpu":
        bare: Any = model.get_base_model() if isinstance(model, PeftModel) else model
        use_short_attention(bare)
    return model.to(device).eval()


def _engine(module: nn.Module, settings: OptimizerSpec, spec: PpoSpec) -> Engine:
    def optimizer(weights: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            weights,
            lr=settings.learning_rate,
            betas=settings.betas,
            eps=settings.epsilon,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    return Engine(module, optimizer, max_grad_norm=settings.max_grad_norm, bf16=spec.precision == "bf16")
