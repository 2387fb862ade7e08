"""Saving: a trained model of either kind -> a plain Hugging Face folder."""

from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from align.artifacts.store import ArtifactDir


class NonFiniteWeightsError(RuntimeError):
    """A model whose weights hold NaN or infinity; it is never written."""


def save_model(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    output: ArtifactDir,
    state: dict[str, Any] | None = None,
) -> None:
    """Write merged weights, tokenizer and generation config to model/; the LoRA adapter alone to adapter/.

    `state` replaces the weights of a sharded model. The model is merged in place and of no further use for
    training.

    Raises:
        NonFiniteWeightsError: a weight is NaN or infinite.
    """
    refuse_non_finite(model)
    if isinstance(model, PeftModel):
        model.save_pretrained(str(output.adapter), safe_serialization=True)
        model = model.merge_and_unload()
    model.save_pretrained(str(output.model), state_dict=state, safe_serialization=True)
    tokenizer.save_pretrained(output.model)


def refuse_non_finite(model: torch.nn.Module) -> None:
    """Raise NonFiniteWeightsError when a weight is NaN or infinite."""
    bad = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    if bad:
        raise NonFiniteWeightsError(
            f"{len(bad)} weight tensors are not finite, first {bad[0]}; nothing was saved"
        )
