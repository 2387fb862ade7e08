"""Adapters: AdapterSpec -> peft's LoRA configuration.

Source  Hu et al. 2021, arXiv:2106.09685
"""

from typing import Literal

from peft import LoraConfig
from transformers import PreTrainedTokenizerBase

from align.models.spec import AdapterSpec


def lora_config(
    spec: AdapterSpec, tokenizer: PreTrainedTokenizerBase, task: Literal["CAUSAL_LM", "SEQ_CLS"]
) -> LoraConfig:
    """A fresh adapter; embeddings of tokens that were just added to the tokenizer are trained as well.

    With the task SEQ_CLS the scalar head is trained in full and saved with the adapter.
    """
    targets = spec.target_modules
    return LoraConfig(
        task_type=task,
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_rslora=spec.use_rslora,
        use_dora=spec.use_dora,
        trainable_token_indices=list(getattr(tokenizer, "fresh_token_ids", [])) or None,
    )
