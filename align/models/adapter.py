"""Adapters: AdapterSpec -> peft's LoRA configuration.

Source  Hu et al. 2021, arXiv:2106.09685
"""

from typing import Literal

from peft import LoraConfig
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from align.models.spec import AdapterSpec


def lora_config(
    spec: AdapterSpec | None,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Literal["CAUSAL_LM", "SEQ_CLS"],
) -> LoraConfig | None:
    """A fresh adapter, or None where there is no spec.

    Embeddings of tokens that were just added to the tokenizer are trained as well. With the task SEQ_CLS the
    scalar head is trained in full and saved with the adapter.
    """
    if spec is None:
        return None
    targets = spec.target_modules
    return LoraConfig(
        task_type=task,
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_rslora=spec.use_rslora,
        use_dora=spec.use_dora,
        trainable_token_indices=_fresh_rows(model, tokenizer) or None,
    )


def _fresh_rows(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Embedding layer -> rows of fresh tokens; peft itself sees to output weights shared with the input."""
    fresh = list(getattr(tokenizer, "fresh_token_ids", []))
    layers = [model.get_input_embeddings(), model.get_output_embeddings()]
    if not fresh or layers[1] is None or layers[0].weight is layers[1].weight:
        layers = layers[:1]
    names = {id(module): name.rpartition(".")[2] for name, module in model.named_modules()}
    return {names[id(layer)]: fresh for layer in layers} if fresh else {}
