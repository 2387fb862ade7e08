"""Quantisation: a frozen base in 4 bits under a LoRA adapter, and back to the weights that it stood for.

Source  Dettmers et al. 2023, "QLoRA", arXiv:2305.14314; bitsandbytes
"""

import copy
import importlib.util
import json
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import BitsAndBytesConfig, PreTrainedModel

from align.models.spec import AdapterSpec

# What gives logits or scores stays as it is: it is small, and rounding it is rounding the answer.
WHOLE = ("lm_head", "score")

NOTE = "quantization.json"


def quantization_problems(adapter: AdapterSpec | None, zero_stage: int | None) -> list[str]:
    """What keeps this machine, or the way it is to be used, from a quantised base, as `field: problem`."""
    if adapter is None or adapter.quantization is None:
        return []
    if importlib.util.find_spec("bitsandbytes") is None:
        return ["adapter.quantization: needs bitsandbytes; pip install 'align[qlora]', or choose lora_r64"]
    if zero_stage == 3:
        return ["adapter.quantization: ZeRO-3 cannot shard 4 bits; choose parallel=zero2, or plain LoRA"]
    return []


def loading(adapter: AdapterSpec | None, *, bf16: bool = False) -> dict[str, Any]:
    """What `from_pretrained` is told beside the rest, so that linear layers come in 4 bits.

    They are multiplied in bf16 where `bf16` says so, in fp32 otherwise.
    """
    if adapter is None or adapter.quantization is None:
        return {}
    section = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=adapter.quantization,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if bf16 else torch.float32,
        llm_int8_skip_modules=list(WHOLE),
    )
    device = torch.cuda.current_device() if torch.cuda.is_available() else "cpu"
    return {"quantization_config": section, "device_map": {"": device}}


def keep_layout(model: Any) -> None:
    """Keep bitsandbytes 0.50 from repacking weights on a CPU where nothing is trained.

    Repacked they are multiplied in bf16 whatever was asked for, and cannot be told from those that were not.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def quantization_of(model: Any) -> str | None:
    """What a model's linear layers are in, None where that is ordinary weights."""
    if not getattr(model, "is_loaded_in_4bit", False):
        return None
    return str(model.config.quantization_config.bnb_4bit_quant_type)


def note_quantization(model: Any, adapter: Path) -> None:
    """Write beside a saved adapter what its base was in; who reads it over another base has another model."""
    (adapter / NOTE).write_text(json.dumps({"base": quantization_of(model)}) + "\n")


def noted_quantization(adapter: Path) -> str | None:
    """What the base of a saved adapter was in."""
    note = adapter / NOTE
    found: str | None = json.loads(note.read_text())["base"] if note.exists() else None
    return found


def full_precision_adapter(model: Any) -> None:
    """Make what is trained fp32 again: over a quantised base TRL 1.16 makes it bf16, where steps get lost."""
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def merged_over_quantized(model: PeftModel, adapter: Path) -> PreTrainedModel:
    """The model as full weights: those that the 4 bits stood for, plus what the saved `adapter` adds.

    It answers as it did in training, which a merge into the weights from before quantisation would not.
    """
    base: Any = model.unload()
    whole = base.dequantize()
    for name in ("quantization_config", "_pre_quantization_dtype"):
        vars(whole.config).pop(name, None)
    whole.is_loaded_in_4bit = whole.is_quantized = False
    whole.hf_quantizer = None
    return PeftModel.from_pretrained(whole, str(adapter)).merge_and_unload()


def share_quantized(own: Any, base: PreTrainedModel) -> None:
    """Give one model the 4-bit layers of another: modules of its own over the same weights."""
    if quantization_of(base) is None:
        return
    own.is_loaded_in_4bit = own.is_quantized = True
    own.hf_quantizer = base.hf_quantizer
    for name, module in base.base_model.named_modules():
        if hasattr(module, "quant_state"):
            twin = copy.copy(module)
            twin._parameters = dict(module._parameters)
            own.base_model.set_submodule(name, twin)
