"""Saving: a trained model of either kind -> a plain Hugging Face folder."""

from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from align.artifacts.store import ArtifactDir
from align.models.base import record_base
from align.models.quantization import merged_over_quantized, note_quantization, quantization_of


class NonFiniteWeightsError(RuntimeError):
    """A model whose weights hold NaN or infinity; it is never written."""


def save_model(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    output: ArtifactDir,
) -> None:
    """Write merged weights, tokenizer and generation config to model/; the LoRA adapter alone to adapter/.

    The model is merged in place and of no further use for training. Weights that are spread over processes
    must have been put together before.

    Raises:
        NonFiniteWeightsError: a weight is NaN or infinite.
    """
    _refuse_non_finite(model)
    if isinstance(model, PeftModel):
        model = save_merging(model, output.adapter)
    model.save_pretrained(str(output.model), safe_serialization=True)
    tokenizer.save_pretrained(output.model)


def save_merging(model: PeftModel, adapter: Path) -> PreTrainedModel:
    """Write the adapter to a folder, and return the model with it merged."""
    model.save_pretrained(str(adapter), safe_serialization=True)
    record_base(adapter, str(model.active_peft_config.base_model_name_or_path))
    note_quantization(model, adapter)
    whole: PreTrainedModel = (
        merged_over_quantized(model, adapter) if quantization_of(model) else model.merge_and_unload()
    )
    return whole


def _refuse_non_finite(model: torch.nn.Module) -> None:
    empty = [name for name, weight in model.named_parameters() if not weight.numel()]
    assert not empty, f"{empty[0]} is a shard without content"
    bad = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    if bad:
        raise NonFiniteWeightsError(
            f"{len(bad)} weight tensors are not finite, first {bad[0]}; nothing was saved"
        )
