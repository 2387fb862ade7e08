"""Likelihood: a causal model -> how likely it finds an answer. Torch-free at import.

Paid beside a reward model it makes the policy say what the model it came from holds likely: on the topic,
well spelt, and of all it might claim what it knows best. With the SFT model, weight w and KL coefficient b
the best policy is proportional to sft^(1 + w/b) * exp(score/b): SFT sharpened, and tilted by the score.

Source  Huang et al. 2024, "Self-Improvement in Language Models: The Sharpening Mechanism", arXiv:2412.01951
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from align.config.resources import Precision
from align.config.spec import ModelRef
from align.data.records import Message, Prompt
from align.models.spec import ModelSpec, TemplateName
from align.rewards.batches import scored_by_length
from align.rewards.holding import ModelReward

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]


class Likelihood(ModelReward):
    """Log-probability of the completion given the prompt, in nats; `per_token` divides by its tokens.

    The sum favours what is short. The model speaks its own tokenizer and template; of a conversation that is
    longer than it can read it sees the end. It is loaded at the first score, and runs on the GPU where there
    is one.
    """

    def __init__(
        self,
        model: ModelRef,
        per_token: bool = False,
        revision: str | None = None,
        chat_template: TemplateName | None = None,
        trust_remote_code: bool = False,
        precision: Precision = "fp32",
        batch_size: int = 64,
    ) -> None:
        self.spec = ModelSpec(
            path=model, revision=revision, chat_template=chat_template, trust_remote_code=trust_remote_code
        )
        self._per_token = per_token
        self._precision = precision
        self._batch_size = batch_size
        self._loaded: Loaded | None = None

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        """One log-probability per completion. (B,)"""
        from align.models.context import context_of  # noqa: PLC0415
        from align.models.likelihood import answer_logprobs, tokenise_answers  # noqa: PLC0415

        model, tokenizer = self._load()
        conversations = [
            [turn.as_dict() for turn in (*prompt.messages, Message("assistant", completion))]
            for prompt, completion in zip(prompts, completions, strict=True)
        ]
        context = context_of(model)
        rows = [_end(*row, context) for row in tokenise_answers(tokenizer, conversations)]
        with self.holding(model):
            nats = scored_by_length(
                [len(prompt) + len(answer) for prompt, answer in rows],
                self._batch_size,
                lambda part: answer_logprobs(model, [rows[row] for row in part], self._precision == "bf16"),
            )
        if not self._per_token:
            return nats
        return [found / len(answer) for found, (_, answer) in zip(nats, rows, strict=True)]

    def _load(self) -> "Loaded":
        import torch  # noqa: PLC0415

        from align.models.causal import load_reference  # noqa: PLC0415
        from align.models.tokenizer import load_model_tokenizer  # noqa: PLC0415

        if self._loaded is None:
            tokenizer = load_model_tokenizer(self.spec.path, self.spec)
            dtype = torch.bfloat16 if self._precision == "bf16" else torch.float32
            model = load_reference(self.spec.path, self.spec, tokenizer, dtype=dtype)
            device = "cuda" if torch.cuda.is_available() else "cpu"
            self._loaded = model.train(False).to(device), tokenizer
        return self._loaded


def _end(
    prompt: Sequence[int], answer: Sequence[int], context: int | None
) -> tuple[Sequence[int], Sequence[int]]:
    """What a model can read of a prompt and its answer: their end, and of the prompt at least one token."""
    if context is None or len(prompt) + len(answer) <= context:
        return prompt, answer
    answer = answer[-(context - 1) :]
    return prompt[-(context - len(answer)) :], answer
