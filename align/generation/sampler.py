"""Sampler: prompts -> completions; the in-process one runs a transformers model."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from align.data.errors import DataError
from align.data.records import Message
from align.generation.batch import Answer, decode
from align.generation.choice import draw, likeliest, row_uniforms, shaping
from align.generation.decoding import DecodingSpec
from align.models.context import context_of
from align.models.rendering import render_prompt


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered; `tokens` keeps the stop token that `text` leaves out.

    `logprobs` are of the tokens, as the sampler saw them when it drew them; where it took the likeliest, they
    are the model's own.
    """

    text: str
    tokens: tuple[int, ...]
    ended: bool
    logprobs: tuple[float, ...] = ()


class Sampler(Protocol):
    """Answers prompts. Rollouts, evaluation and chat see a model through this."""

    def complete(self, prompts: Sequence[tuple[Message, ...]]) -> list[Completion]:
        """One completion per prompt, in the prompts' order."""
        ...


def stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids that end a completion: all EOS ids of the generation config, and the tokenizer's own."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    listed = configured if isinstance(configured, list) else [configured]
    return sorted({token for token in (*listed, tokenizer.eos_token_id) if token is not None})


def batches_by_length(
    lengths: Sequence[int], new_tokens: int, batch_tokens: int, batch_rows: int | None = None
) -> Iterator[list[int]]:
    """Row numbers in batches of similar length, longest first, so that a batch too large fails at once.

    A batch holds at most `batch_tokens` tokens, padding and `new_tokens` per row included, or a single row;
    and at most `batch_rows` rows.
    """
    longest_first = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    start = 0
    while start < len(longest_first):
        rows = max(1, batch_tokens // (lengths[longest_first[start]] + new_tokens))
        rows = rows if batch_rows is None else min(rows, batch_rows)
        yield longest_first[start : start + rows]
        start += rows


class TransformersSampler:
    """Samples from a model in this process.

    Nothing but the EOS ids is read from the checkpoint's generation config: `decoding` is complete. Ids
    beyond the tokenizer (padded embedding rows) and the padding id are never chosen: `forbidden` (V,).

    The same prompts in the same order give the same completions. The random numbers of a prompt depend on
    `decoding.seed` and its position in `prompts` alone; batch composition can change a completion only
    through the rounding of matrix products, where two tokens are nearly tied.

    `weights_stay` says that they are not fetched from other processes on the way: torch's inference mode,
    which is a tenth faster, would mark what was fetched as of no use for training.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        decoding: DecodingSpec,
        *,
        batch_tokens: int = 8192,
        batch_rows: int | None = None,
        weights_stay: bool = True,
    ) -> None:
        self.model = model
        self._weights_stay = weights_stay
        self._tokenizer = tokenizer
        self._decoding = decoding
        self._batch_limits = (decoding.max_new_tokens, batch_tokens, batch_rows)
        self._shaped = shaping(decoding)
        self._stop = torch.tensor(stop_ids(model, tokenizer), device=model.device)
        self.forbidden = self._forbidden_ids()

    def with_decoding(self, decoding: DecodingSpec) -> "TransformersSampler":
        """The same model, asked in another way."""
        _, batch_tokens, batch_rows = self._batch_limits
        limits: dict[str, Any] = {"batch_tokens": batch_tokens, "batch_rows": batch_rows}
        return TransformersSampler(
            self.model, self._tokenizer, decoding, weights_stay=self._weights_stay, **limits
        )

    def complete(self, prompts: Sequence[tuple[Message, ...]]) -> list[Completion]:
        """One completion per prompt, in the prompts' order.

        Raises:
            DataError: a prompt and `max_new_tokens` together do not fit the model's context.
        """
        return self.complete_tokens(self._rendered(prompts))

    def complete_tokens(
        self, prompts: Sequence[Sequence[int]], first: int = 0, hear: Callable[[int, int], None] | None = None
    ) -> list[Completion]:
        """One completion per prompt of token ids, in the prompts' order.

        Prompts are numbered from `first` on: the number stands for the prompt's stream of random numbers.
        `hear` gets the number of a prompt and its next token as soon as there is one.

        Raises:
            DataError: a prompt and `max_new_tokens` together do not fit the model's context.
        """
        self._refuse_overlong(prompts)
        completions: dict[int, Completion] = {}
        lengths = [len(ids) for ids in prompts]
        with evaluating(self.model), torch.inference_mode(self._weights_stay):
            for rows in batches_by_length(lengths, *self._batch_limits):
                answers = self._decode([prompts[row] for row in rows], [first + row for row in rows], hear)
                completions.update(zip(rows, map(self._completion, answers), strict=True))
        return [completions[row] for row in range(len(prompts))]

    @torch.no_grad()
    def idle(self) -> None:
        """The cheapest pass of the model, for those who have to make one and ask nothing."""
        one = torch.zeros((1, 1), dtype=torch.long, device=self.model.device)
        self.model(input_ids=one, use_cache=False, logits_to_keep=1)

    def _rendered(self, prompts: Sequence[tuple[Message, ...]]) -> list[list[int]]:
        turns = ([message.as_dict() for message in prompt] for prompt in prompts)
        texts = [render_prompt(self._tokenizer, prompt) for prompt in turns]
        return self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []

    def _refuse_overlong(self, rendered: Sequence[Sequence[int]]) -> None:
        context = context_of(self.model)
        longest = max(map(len, rendered), default=0)
        if context is not None and longest + self._decoding.max_new_tokens > context:
            raise DataError(
                f"a prompt of {longest} tokens and max_new_tokens={self._decoding.max_new_tokens} exceed the "
                f"model's context of {context} tokens; filter the prompts or lower decoding.max_new_tokens"
            )

    def _decode(
        self,
        prompts: Sequence[Sequence[int]],
        rows: Sequence[int],
        hear: Callable[[int, int], None] | None,
    ) -> list[Answer]:
        decoding = self._decoding
        uniforms = (
            row_uniforms(decoding.seed, rows, decoding.max_new_tokens) if decoding.temperature else None
        )

        def choose(logits: Tensor, batch_rows: Tensor, step: int) -> tuple[Tensor, Tensor]:
            logits = logits.masked_fill(self.forbidden, -torch.inf)
            if uniforms is None:
                return likeliest(logits)
            return draw(self._shaped(logits), uniforms[batch_rows.cpu(), step])

        pad = self._tokenizer.pad_token_id or 0
        told = None if hear is None else lambda row, token: hear(rows[row], token)
        return decode(
            self.model, prompts, choose, stop=self._stop, pad=pad, steps=decoding.max_new_tokens, hear=told
        )

    def _completion(self, answer: Answer) -> Completion:
        tokens, logprobs = answer
        ended = tokens[-1] in self._stop.tolist()
        text = str(self._tokenizer.decode(tokens[:-1] if ended else tokens, skip_special_tokens=True))
        return Completion(text.strip(), tuple(tokens), ended, tuple(logprobs))

    def _forbidden_ids(self) -> Tensor:
        """True where an id must not be chosen: (V,)."""
        vocabulary = self.model.config.get_text_config().vocab_size
        forbidden = torch.arange(vocabulary, device=self.model.device) >= len(self._tokenizer)
        pad = self._tokenizer.pad_token_id
        if pad is not None and pad not in self._stop.tolist():
            forbidden[pad] = True
        return forbidden


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Dropout off inside, the model's own mode restored after."""
    was_training = model.training
    model.train(False)
    try:
        yield
    finally:
        model.train(was_training)
