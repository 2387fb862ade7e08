"""LearnedReward: a trained reward model -> scores. Torch-free at import.

Its signature is read in the process that plans a run, which never loads torch; the imports stand inside
methods.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from align.config.resources import Precision
from align.config.spec import ModelRef
from align.data.errors import DataError
from align.data.records import Message, Prompt
from align.models.spec import ModelSpec, TemplateName
from align.rewards.batches import scored_by_length
from align.rewards.composed import leaves
from align.rewards.holding import ModelReward

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]


class LearnedReward(ModelReward):
    """Scores a whole conversation, the completion being its last turn, with a reward model.

    The model speaks its own tokenizer and template, whatever the policy's are. It is loaded at the first
    score, and runs on the GPU where there is one.
    """

    def __init__(
        self,
        model: ModelRef,
        revision: str | None = None,
        chat_template: TemplateName | None = None,
        trust_remote_code: bool = False,
        precision: Precision = "fp32",
        batch_size: int = 64,
    ) -> None:
        self.spec = ModelSpec(
            path=model, revision=revision, chat_template=chat_template, trust_remote_code=trust_remote_code
        )
        self._precision = precision
        self._batch_size = batch_size
        self._loaded: Loaded | None = None
        self._has_told = False

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        """One score per completion. (B,)"""
        return self.score_conversations(
            [
                (*prompt.messages, Message("assistant", completion))
                for prompt, completion in zip(prompts, completions, strict=True)
            ]
        )

    def score_conversations(self, conversations: Sequence[tuple[Message, ...]]) -> list[float]:
        """One score per conversation that ends with an assistant turn. (B,)"""
        from align.models.scalar import score_tokens, tokenise  # noqa: PLC0415

        model, tokenizer = self._load()
        spoken = tokenise(tokenizer, [[turn.as_dict() for turn in turns] for turns in conversations])
        token_ids = self._within_context(model, spoken)
        is_bf16 = self._precision == "bf16"  # matters to fp32 weights that others share
        with self.holding(model):
            return scored_by_length(
                [*map(len, token_ids)],
                self._batch_size,
                lambda rows: score_tokens(model, [token_ids[row] for row in rows], is_bf16),
            )

    def _within_context(
        self, model: "PreTrainedModel", token_ids: Sequence[Sequence[int]]
    ) -> list[Sequence[int]]:
        """Conversations without the beginnings that the model has no positions for; told once."""
        from align.models.context import context_of  # noqa: PLC0415

        context = context_of(model)
        longest = max(map(len, token_ids), default=0)
        if context is None or longest <= context:
            return list(token_ids)
        if not self._has_told:
            sys.stdout.write(
                f"a conversation of {longest} tokens exceeds the {context} that the reward model "
                f"{self.spec.path} can read: it is judged without its beginning\n"
            )
            self._has_told = True
        return [ids[-context:] for ids in token_ids]

    def read_over(self, base: "PreTrainedModel", path: str) -> bool:
        """Read a frozen base that is in memory already, where this model is an adapter over it.

        `path` is where the base was loaded from. Returns whether it is.
        """
        from align.models.quantization import quantization_of  # noqa: PLC0415
        from align.models.shared_base import adapter_over, scalar_with_adapter  # noqa: PLC0415
        from align.models.tokenizer import load_model_tokenizer  # noqa: PLC0415

        adapter = adapter_over(self.spec.path, path, quantization_of(base))
        if adapter is not None:
            model: Any = scalar_with_adapter(base, adapter)
            tokenizer = load_model_tokenizer(self.spec.path, self.spec)
            self._loaded = model.requires_grad_(False).train(False).to(base.device), tokenizer
        return adapter is not None

    def _load(self) -> "Loaded":
        import torch  # noqa: PLC0415
        from transformers import AutoConfig  # noqa: PLC0415

        from align.models.scalar import load_reward_model  # noqa: PLC0415
        from align.models.tokenizer import load_model_tokenizer  # noqa: PLC0415

        if self._loaded is None:
            spec = self.spec
            config = AutoConfig.from_pretrained(
                spec.path, revision=spec.revision, trust_remote_code=spec.trust_remote_code
            )
            if not any("SequenceClassification" in name for name in config.architectures or ()):
                raise DataError(f"{spec.path} is no reward model: it has no scalar head that was trained")
            tokenizer = load_model_tokenizer(spec.path, spec)
            dtype = torch.bfloat16 if self._precision == "bf16" else torch.float32
            model = load_reward_model(spec.path, spec, tokenizer, dtype=dtype)
            device = "cuda" if torch.cuda.is_available() else "cpu"
            self._loaded = model.requires_grad_(False).train(False).to(device), tokenizer
        return self._loaded


def share_base(base: "PreTrainedModel", path: str, sources: Sequence[object]) -> None:
    """Let every reward model in `sources` that is an adapter over `base`, loaded from `path`, read it."""
    for leaf in (leaf for source in sources for leaf in leaves(source)):
        if isinstance(leaf, LearnedReward) and leaf.read_over(base, path):
            sys.stdout.write("policy and reward model share one base\n")
