"""Imitation: demonstrations -> what every optimiser step imitates beside PPO, so that little is unlearnt.

Source  Ouyang et al. 2022, arXiv:2203.02155, eq. 2, where the demonstrations are pretraining text
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from align.data.errors import DataError
from align.data.records import Conversation, Text
from align.models.likelihood import tokenise_answers
from align.models.rendering import Turns
from align.ppo.prompts import rows_in_turn


@dataclass(frozen=True)
class Demonstration:
    """Token ids; the completion ends with the token that ends a turn."""

    prompt: list[int]
    completion: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


class Imitation:
    """Which demonstrations a step imitates follows from its number: a resumed run needs no cursor.

    Args:
        demonstrations: all of them.
        coefficient: weight of their mean negative log-likelihood per token.
        batch_size: how many a step sees of them, on all processes.
        seed: of their order.
    """

    def __init__(
        self, demonstrations: Sequence[Demonstration], coefficient: float, batch_size: int, seed: int
    ) -> None:
        self.coefficient = coefficient
        self._demonstrations = demonstrations
        self._batch_size = batch_size
        self._seed = seed

    def batch(self, step: int, rank: int = 0, processes: int = 1) -> list[Demonstration]:
        """A process's share of what optimiser step `step` of the run imitates."""
        rows = rows_in_turn(step * self._batch_size, self._batch_size, len(self._demonstrations), self._seed)
        return [self._demonstrations[row] for row in rows[rank::processes]]


def as_demonstrations(
    rows: Sequence[Conversation | Text], tokenizer: PreTrainedTokenizerBase, longest: int | None
) -> list[Demonstration]:
    """What conversations and texts show.

    Of a conversation it is the last turn, to be said after what comes before it. A text is written from its
    first word on, in pieces where it is long; as in pretraining it follows on the end of another.

    Args:
        rows: texts, and conversations that end with an answer.
        tokenizer: the policy's, with its template.
        longest: most tokens of a demonstration; conversations that are longer are left out.

    Raises:
        DataError: nothing fits, or the template writes a prompt otherwise once it is answered.
    """
    conversations = [_turns(row) for row in rows if isinstance(row, Conversation)]
    texts = [row.text for row in rows if isinstance(row, Text)]
    try:
        found = [Demonstration(*pair) for pair in tokenise_answers(tokenizer, conversations)]
    except ValueError as problem:
        raise DataError(f"ptx.data: {problem}") from problem
    kept = [item for item in found if item.completion and (longest is None or len(item) <= longest)]
    kept += [*_pieces(texts, tokenizer, longest)]
    if not kept:
        raise DataError(f"ptx.data: none of {len(rows)} demonstrations fits into {longest} tokens")
    return kept


def _pieces(
    texts: list[str], tokenizer: PreTrainedTokenizerBase, longest: int | None
) -> Iterator[Demonstration]:
    end = tokenizer.eos_token_id
    for ids in tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []:
        stream = [end, *ids, end]
        size = (longest or len(stream)) - 1
        for start in range(1, len(stream), size):
            yield Demonstration([stream[start - 1]], stream[start : start + size])


def _turns(row: Conversation) -> Turns:
    return [turn.as_dict() for turn in row.messages]
