"""Partner: a model in memory that answers a conversation, telling its words as they come."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from align.chat.encoding import prompt_ids
from align.chat.places import Place
from align.data.contract import contract_of, differences, read_contract
from align.data.errors import DataError
from align.generation.decoding import DecodingSpec
from align.generation.sampler import TransformersSampler
from align.models.causal import load_reference
from align.models.context import context_of
from align.models.spec import ModelSpec, TemplateName
from align.models.tokenizer import load_model_tokenizer
from align.runtime.speaker import missing_template

Turn = dict[str, str]
UNFINISHED = "\ufffd"  # how the first bytes of a letter are shown


class Partner:
    """One side of a conversation; it remembers what was said to it and what it said.

    Raises:
        DataError: weights or tokenizer cannot be loaded, or are not what the model was trained with.
    """

    def __init__(
        self, place: Place, decoding: DecodingSpec, template: TemplateName | None, device: str
    ) -> None:
        self.name = place.name
        self.turns: list[Turn] = []
        self._decoding = decoding
        disable_progress_bar()  # it would stand amid the conversation
        spec = ModelSpec(path=place.path, revision=place.revision, chat_template=template)
        try:
            self._tokenizer = load_model_tokenizer(place.path, spec)
            if found := _tokenizer_problems(place, self._tokenizer):
                raise DataError("\n".join(f"{place.name}: {line}" for line in found))
            model = load_reference(place.path, spec, self._tokenizer)
        except (OSError, ValueError) as problem:
            if isinstance(problem, DataError):
                raise
            raise DataError(f"{place.name}: {problem}") from None
        torch.nn.Module.to(model, device)  # in place; transformers hides the signature of its own `to`
        self._context = context_of(model)
        self._sampler = TransformersSampler(model, self._tokenizer, decoding)
        self._asked = 0

    def answer(self, text: str, system: str | None, hear: Callable[[str], None]) -> str:
        """Take a turn; `hear` gets the answer so far whenever it has grown.

        An answer that is interrupted counts as far as it was heard.

        Raises:
            DataError: the conversation has no room left in the model's context.
        """
        self.turns.append({"role": "user", "content": text})
        first = [{"role": "system", "content": system}] if system else []
        heard = _Heard(self._tokenizer, hear)
        try:
            ids = prompt_ids(self._tokenizer, [*first, *self.turns])
            sampler = self._sampler.with_decoding(self._fitting(len(ids)))
        except DataError:
            self.turns.pop()
            raise
        self._asked += 1
        with suppress(KeyboardInterrupt):  # enough was heard
            sampler.complete_tokens([ids], first=self._asked, hear=heard)
        self.turns.append({"role": "assistant", "content": heard.text})
        return heard.text

    def reset(self) -> None:
        """Forget the conversation."""
        self.turns.clear()

    def _fitting(self, length: int) -> DecodingSpec:
        if self._context is None:
            return self._decoding
        room = self._context - length
        if room < 1:
            raise DataError(
                f"{self.name}: the conversation has {length} tokens, the context {self._context}: /reset"
            )
        return replace(self._decoding, max_new_tokens=min(room, self._decoding.max_new_tokens))


def _tokenizer_problems(place: Place, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What would have the model read something else than it was taught."""
    if tokenizer.chat_template is None:
        return [f"{missing_template(place.path)} with --template"]
    names = ("training", "the tokenizer")
    return differences(read_contract(Path(place.path)), contract_of(tokenizer), names)


@dataclass
class _Heard:
    """Tokens as they come -> the text so far, whole letters only."""

    tokenizer: PreTrainedTokenizerBase
    hear: Callable[[str], None]
    text: str = ""

    def __post_init__(self) -> None:
        self._tokens: list[int] = []

    def __call__(self, row: int, token: int) -> None:
        self._tokens.append(token)
        text: Any = self.tokenizer.decode(self._tokens, skip_special_tokens=True)
        told = str(text).removesuffix(UNFINISHED).strip()
        if told != self.text:
            self.text = told
            self.hear(told)
