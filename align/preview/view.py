"""View: a stage's rows -> their tokens and loss masks, from the functions that the stage trains with."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from align.data.errors import DataError
from align.data.records import Conversation, Message, PreferencePair, Prompt, Row
from align.ppo.prompts import fitting
from align.preview.pieces import Piece, pieces
from align.training.token_columns import IGNORED, TokeniseError
from align.training.tokenise import tokenise_conversations, tokenise_pairs


@dataclass(frozen=True)
class Strip:
    """One sequence of token ids as the model reads it, and whether each is trained on. (L,)"""

    title: str
    ids: Sequence[int]
    trained: Sequence[bool]
    said: Sequence[Message]


@dataclass(frozen=True)
class View:
    """How rows of one kind of stage are shown; `field` names the stage's ModelSpec."""

    field: str
    row_type: type[Row]
    strips: Callable[..., Iterator[Strip]]


@dataclass(frozen=True)
class Part:
    """A strip, cut into what can be shown."""

    title: str
    pieces: Sequence[Piece]
    tokens: int
    trained: int


@dataclass(frozen=True)
class ShownRow:
    """One row: its sequences, or why it is left out."""

    place: str
    parts: Sequence[Part]
    left_out: str | None = None


@dataclass(frozen=True)
class Preview:
    """The first rows of one stage. `limit` is the longest row in tokens; None where nothing bounds it."""

    stage: str
    kind: str
    tokenizer: str
    limit: int | None
    total: int
    rows: tuple[ShownRow, ...]


def shown_row(view: View, row: Any, tokenizer: Any, limit: int | None, policy: Any) -> ShownRow:
    """A row as the stage's model will see it."""
    try:
        strips = list(view.strips(row, tokenizer, limit, policy))
    except (TokeniseError, DataError) as problem:
        return ShownRow(str(row.place), (), str(problem))
    parts = [
        Part(
            strip.title,
            pieces(tokenizer, strip.ids, strip.trained, [turn.content for turn in strip.said]),
            len(strip.ids),
            sum(strip.trained),
        )
        for strip in strips
    ]
    return ShownRow(str(row.place), parts, None if parts else "what is wrong with it is told in the check")


def _conversation(row: Conversation, tokenizer: Any, limit: int | None, policy: Any) -> Iterator[Strip]:
    for tokens in tokenise_conversations([row], tokenizer, limit, policy).dataset:
        learnt = [label != IGNORED for label in tokens["labels"]]
        yield Strip("conversation", tokens["input_ids"], learnt, row.messages)


def _pair(row: PreferencePair, tokenizer: Any, limit: int | None, policy: Any) -> Iterator[Strip]:
    for tokens in tokenise_pairs([row], tokenizer, limit, policy).dataset:
        prompt = tokens["prompt_ids"]
        for side, answer in (("chosen", row.chosen), ("rejected", row.rejected)):
            completion = tokens[f"{side}_ids"]
            learnt = [False] * len(prompt) + [True] * len(completion)
            yield Strip(side, prompt + completion, learnt, (*row.prompt, *answer))


def _scored(row: PreferencePair, tokenizer: Any, limit: int | None, policy: Any) -> Iterator[Strip]:
    for tokens in tokenise_pairs([row], tokenizer, limit, policy, joined=True).dataset:
        for side, answer in (("chosen", row.chosen), ("rejected", row.rejected)):
            ids = tokens[f"{side}_ids"]
            read_off = [False] * (len(ids) - 1) + [True]
            yield Strip(f"{side}: scored at its last token", ids, read_off, (*row.prompt, *answer))


def _prompt(row: Prompt, tokenizer: Any, limit: int | None, policy: Any) -> Iterator[Strip]:
    for ids in fitting([row], tokenizer, limit, policy).tokens:
        yield Strip("prompt: the policy goes on from its end", ids, [False] * len(ids), row.messages)


VIEWS: Mapping[str, View] = {
    "sft": View("model", Conversation, _conversation),
    "reward": View("model", PreferencePair, _scored),
    "dpo": View("policy", PreferencePair, _pair),
    "ppo": View("policy", Prompt, _prompt),
}
