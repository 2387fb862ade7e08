"""Imitation: demonstrations -> what every optimiser step imitates beside PPO, so that little is unlearnt.

Source  Ouyang et al. 2022, arXiv:2203.02155, eq. 2, where the demonstrations are pretraining text
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from align.data.errors import DataError
from align.data.records import Conversation
from align.models.rendering import render, render_prompt
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
    rows: Sequence[Conversation], tokenizer: PreTrainedTokenizerBase, longest: int | None
) -> list[Demonstration]:
    """The last turns of conversations, to be said after what comes before them.

    Args:
        rows: conversations that end with an answer.
        tokenizer: the policy's, with its template.
        longest: tokens that prompt and answer may have together; longer ones are left out.

    Raises:
        DataError: none fits, or the template writes a prompt otherwise once it is answered.
    """
    prompts, answers = [], []
    for row in rows:
        turns = [turn.as_dict() for turn in row.messages]
        prompt, whole = render_prompt(tokenizer, turns[:-1]), render(tokenizer, turns)
        if not whole.startswith(prompt):
            raise DataError("ptx.data: the chat template writes a prompt otherwise once it is answered")
        prompts.append(prompt)
        answers.append(whole[len(prompt) :])
    ids = (tokenizer(texts, add_special_tokens=False)["input_ids"] for texts in (prompts, answers) if texts)
    found = [Demonstration(*pair) for pair in zip(*ids, strict=True)]
    kept = [item for item in found if item.completion and (longest is None or len(item) <= longest)]
    if not kept:
        raise DataError(f"ptx.data: none of {len(rows)} conversations fits into {longest} tokens")
    return kept
