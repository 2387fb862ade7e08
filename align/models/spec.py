"""What a model is, as configuration: weights, chat template, adapter. Torch-free."""

from dataclasses import dataclass
from typing import Literal

from align.config.spec import Bool, Fraction, ModelRef, Positive, PositiveInt, Spec

TemplateName = Literal["chatml", "llama3", "gemma", "plain"]


@dataclass(frozen=True, kw_only=True)
class ModelSpec(Spec):
    """Weights and the template they are spoken to with.

    `path` is `stage:<name>`, a local folder, or a Hub id with a pinned `revision`.
    `chat_template` replaces the tokenizer's own; null keeps it (and is an error where none exists and one is
    needed).
    """

    path: ModelRef
    revision: str | None = None
    chat_template: TemplateName | None = None
    trust_remote_code: Bool = False


@dataclass(frozen=True, kw_only=True)
class AdapterSpec(Spec):
    """A LoRA adapter (Hu et al. 2021, arXiv:2106.09685); absent means full fine-tuning.

    `quantization` keeps the frozen base in 4 bits (QLoRA, Dettmers et al. 2023, arXiv:2305.14314).
    """

    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    dropout: Fraction = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"
    use_rslora: Bool = False
    use_dora: Bool = False
    quantization: Literal["nf4", "fp4"] | None = None


@dataclass(frozen=True, kw_only=True)
class TokenizerSpec(Spec):
    """A byte-level BPE tokenizer trained on the stage's own text; the control tokens of every template are
    reserved.

    `sample_rows` bounds how many rows the merges are learnt from; null reads them all.
    """

    vocab_size: PositiveInt = 8192
    chat_template: TemplateName = "plain"
    extra_special_tokens: tuple[str, ...] = ()
    sample_rows: PositiveInt | None = None


@dataclass(frozen=True, kw_only=True)
class ArchitectureSpec(Spec):
    """A Llama (Touvron et al. 2023, arXiv:2302.13971); `key_value_heads: null` means one per head."""

    hidden_size: PositiveInt = 256
    layers: PositiveInt = 6
    heads: PositiveInt = 4
    key_value_heads: PositiveInt | None = None
    intermediate_size: PositiveInt = 704
    max_positions: PositiveInt = 1024
    tie_embeddings: Bool = True
    rope_theta: Positive = 10_000.0
    initializer_range: Positive = 0.02

    def __post_init__(self) -> None:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size {self.hidden_size} does not divide by {self.heads} heads")
        if self.key_value_heads and self.heads % self.key_value_heads:
            raise ValueError(f"heads {self.heads} does not divide by {self.key_value_heads} key_value_heads")
