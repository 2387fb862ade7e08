"""Sharing: one frozen base -> scalar models that read the same weights, each with a head and an adapter.

Reads   adapter/ of a reward model, beside its model/
Source  Santacroce et al. 2023, "Efficient RLHF: Reducing the Memory Usage of PPO", arXiv:2309.00754
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from align.models.quantization import noted_quantization, quantization_of, share_quantized


def scalar_over(base: PreTrainedModel) -> PreTrainedModel:
    """A model with one output that reads a causal model's weights, tensor by tensor; its head gives 0.

    No weight but the head's is allocated. `base` must not be wrapped in an adapter yet.
    """
    config = copy.deepcopy(base.config)
    config.num_labels = 1
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)
    for name, module in base.base_model.named_modules():
        own = model.base_model.get_submodule(name)
        own._parameters.update(module._parameters)
        own._buffers.update(module._buffers)
    share_quantized(model, base)
    outputs, inputs = model.score.weight.shape
    model.score = nn.Linear(inputs, outputs, bias=False, device=base.device)
    nn.init.zeros_(model.score.weight)
    return model


def adapter_over(model: str, base: str, quantization: str | None = None) -> Path | None:
    """Where the adapter lies that the folder `model` was merged from; None if that was over another base.

    A base in `quantization` is another than the same one in ordinary weights. An adapter that trained rows of
    the embedding stands apart: its base is not the one it is merged into.
    """
    folder = Path(model).parent / "adapter"
    file = folder / "adapter_config.json"
    if not file.exists():
        return None
    config = json.loads(file.read_text())
    is_over_base = (
        Path(config["base_model_name_or_path"]).resolve() == Path(base).resolve()
        and noted_quantization(folder) == quantization
    )
    return folder if is_over_base and not config.get("trainable_token_indices") else None


def scalar_with_adapter(base: PreTrainedModel, adapter: Path, *, trainable: bool = False) -> PeftModel:
    """A reward model as its adapter and head over a base that others read as well."""
    return PeftModel.from_pretrained(scalar_over(base), str(adapter), is_trainable=trainable)


def head_of(model: PreTrainedModel | PeftModel) -> nn.Linear:
    """The scalar head that is in use."""
    head: Any = (model.get_base_model() if isinstance(model, PeftModel) else model).score
    found = head.modules_to_save[head.active_adapters[0]] if hasattr(head, "modules_to_save") else head
    assert isinstance(found, nn.Linear)
    return found


def stand_alone(model: PeftModel) -> None:
    """Give adapted layers weights of their own: merging would change what other models read."""
    if quantization_of(model):
        return  # it is not merged in place
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            layer: Any = module.get_base_layer()
            layer.weight = nn.Parameter(layer.weight.detach().clone(), requires_grad=False)
