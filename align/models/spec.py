"""What a model is, as configuration: weights, chat template, adapter. Torch-free."""

from dataclasses import dataclass
from typing import Literal

from align.config.spec import Bool, Fraction, ModelRef, PositiveInt, Spec

TemplateName = Literal["chatml", "llama3", "gemma", "plain"]


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """Weights and the template they are spoken to with.

    `path` is `stage:<name>`, a local folder, or a Hub id with a pinned `revision`.
    `chat_template` replaces the tokenizer's own; null keeps it (and is an error where none exists and one is needed).
    """

    path: ModelRef
    revision: str | None = None
    chat_template: TemplateName | None = None
    trust_remote_code: Bool = False


@dataclass(frozen=True, kw_only=True)
class AdapterSpec(Spec):
    """A LoRA adapter (Hu et al. 2021, arXiv:2106.09685); absent means full fine-tuning."""

    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    dropout: Fraction = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"
    use_rslora: Bool = False
    use_dora: Bool = False
