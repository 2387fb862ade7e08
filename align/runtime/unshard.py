"""Unshard: an engine of DeepSpeed's -> a plain module with whole fp32 weights, to be saved; and what stage 0
leaves out.

Source  Rajbhandari et al. 2020, "ZeRO", arXiv:1910.02054
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from align.runtime.processes import rank


def unshard(engine: Any) -> None:
    """Replace the weights of the first process's module by whole fp32 ones, on the CPU; training ends here.

    What was trained comes from the optimiser's own fp32 copy, which knows more digits than the bf16 weights
    that the module computed with. Every process must call it. The module may then be merged and saved like
    one that DeepSpeed never saw.
    """
    masters = _unfused_masters(engine.optimizer)
    plain: dict[int, nn.Parameter] = {}
    for weight in engine.module.parameters():
        whole = masters[id(weight)] if id(weight) in masters else _whole(weight)
        if rank() == 0:
            plain[id(weight)] = nn.Parameter(whole.detach().cpu(), requires_grad=weight.requires_grad)
    for module in engine.module.modules():
        for name, weight in module._parameters.items():  # weights that are shared stay shared
            if id(weight) in plain:
                module._parameters[name] = plain[id(weight)]


def trained_weights(engine: Any) -> dict[str, Tensor]:
    """A copy of the weights that are trained, in fp32 and whole, by name; every process must ask for it."""
    masters = _unfused_masters(engine.optimizer)
    named = [(name, weight) for name, weight in engine.module.named_parameters() if weight.requires_grad]
    return {
        name: (masters[id(weight)] if id(weight) in masters else _whole(weight)).detach().clone()
        for name, weight in named
    }


def _whole(weight: nn.Parameter) -> Tensor:
    """One weight in fp32; a collective operation where it, or its fp32 copy, is spread over processes."""
    from deepspeed import zero  # noqa: PLC0415  (1.3 s that only ZeRO needs)
    from deepspeed.utils import safe_get_full_fp32_param  # noqa: PLC0415

    is_sharded = hasattr(weight, "ds_id")
    if weight.requires_grad and (is_sharded or weight.dtype != torch.float32):
        master: Tensor | None = safe_get_full_fp32_param(weight)
        if master is not None:
            return master
    if not is_sharded:
        return weight.detach().float()
    with zero.GatheredParameters([weight]):
        return weight.detach().float().clone()


def _unfused_masters(optimizer: Any) -> dict[int, Tensor]:
    """fp32 copies that stage 0 keeps in bf16, by the id of the weight; empty elsewhere."""
    from deepspeed.runtime.fp16.unfused_optimizer import FP16_UnfusedOptimizer  # noqa: PLC0415

    if not isinstance(optimizer, FP16_UnfusedOptimizer):
        return {}
    pairs = zip(optimizer.fp16_groups, optimizer.fp32_groups, strict=True)
    return {id(low): high for lows, highs in pairs for low, high in zip(lows, highs, strict=True)}


def watch_gradients(engine: Any) -> None:
    """Have stage 0 in fp32 tell its gradient's norm, and leave out a step whose gradient is not finite.

    The other stages do both. There the engine's optimiser is torch's own, and it would step with NaN.
    """
    if engine.zero_optimization_stage() or engine.bfloat16_enabled():
        return
    step = engine._take_model_step

    def watched(lr_kwargs: Any) -> None:
        gradients = [weight.grad for weight in engine.module.parameters() if weight.grad is not None]
        norm = float(nn.utils.get_total_norm(gradients))
        engine._global_grad_norm = norm
        if math.isfinite(norm):
            step(lr_kwargs)
        else:
            engine.zero_grad()
            engine.skipped_steps += 1
            engine._step_applied = False

    engine._take_model_step = watched
