"""Choosing: a question with its given answers -> how likely a model finds each, and whether it prefers the
right one.

Source  Brown et al. 2020, arXiv:2005.14165, §2.4: multiple choice by likelihood, per answer and by its length
"""

import math
from collections.abc import Sequence
from typing import Any

from align.data.errors import DataError
from align.data.records import Message, Prompt
from align.evaluation.metrics.metric import Column, Columns
from align.evaluation.rows import ACCURACY, ACCURACY_BY_LENGTH
from align.rewards.rules import required

BATCH = 64  # answers read at once

Logprobs = Sequence[Sequence[float]]  # of every choice of every prompt


def choices_of(prompt: Prompt) -> tuple[list[str], int]:
    """The given answers of a prompt, and which of them is right.

    Raises:
        ValueError: the reference has no `choices`, fewer than two, an empty one, or an `answer` that is none
            of them.
    """
    choices, answer = [str(item) for item in required(prompt, "choices")], str(required(prompt, "answer"))
    if len(choices) < 2 or answer not in choices or "" in choices:
        raise ValueError(
            f"the answer {answer!r} should be one of at least two choices, none empty ({', '.join(choices)})"
        )
    return choices, choices.index(answer)


def choice_columns(prompts: Sequence[Prompt], logprobs: Logprobs) -> Columns:
    """Whether the likeliest choice is right, as it is and per character. (N,)

    The second is for choices of different lengths: the longer, the less likely.
    """
    right: dict[str, list[float]] = {ACCURACY: [], ACCURACY_BY_LENGTH: []}
    for prompt, found in zip(prompts, logprobs, strict=True):
        choices, answer = choices_of(prompt)
        right[ACCURACY].append(float(_likeliest(found) == answer))
        per_character = [value / len(choice) for value, choice in zip(found, choices, strict=True)]
        right[ACCURACY_BY_LENGTH].append(float(_likeliest(per_character) == answer))
    return {name: Column(values) for name, values in right.items()}


def chosen_texts(prompts: Sequence[Prompt], logprobs: Logprobs) -> list[str]:
    """The choice that the model finds likeliest. (N,)"""
    return [choices_of(prompt)[0][_likeliest(found)] for prompt, found in zip(prompts, logprobs, strict=True)]


def choice_logprobs(model: Any, tokenizer: Any, prompts: Sequence[Prompt]) -> list[list[float]]:
    """Log-probabilities in nats of every choice of every prompt as the assistant's answer.

    Raises:
        DataError: a prompt does not fit the model's context.
        ValueError: a likelihood is not finite.
    """
    from align.models.context import context_of  # noqa: PLC0415
    from align.models.likelihood import answer_logprobs, tokenise_answers  # noqa: PLC0415

    conversations = [
        [message.as_dict() for message in (*prompt.messages, Message("assistant", choice))]
        for prompt in prompts
        for choice in choices_of(prompt)[0]
    ]
    rows = tokenise_answers(tokenizer, conversations)
    longest, context = max(len(asked) + len(said) for asked, said in rows), context_of(model)
    if context is not None and longest > context:
        raise DataError(f"a prompt with a choice has {longest} tokens, and the model reads {context}")
    order = sorted(range(len(rows)), key=lambda row: len(rows[row][0]) + len(rows[row][1]))
    values = [0.0] * len(rows)
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        for row, value in zip(batch, answer_logprobs(model, [rows[row] for row in batch]), strict=True):
            values[row] = value
    require_finite(values)
    flat = iter(values)
    return [[next(flat) for _ in choices_of(prompt)[0]] for prompt in prompts]


def require_finite(logprobs: Sequence[float]) -> None:
    """Raises ValueError where a likelihood is none: the first would be taken for the likeliest."""
    if bad := [value for value in logprobs if not math.isfinite(value)]:
        raise ValueError(f"the likelihood of a choice is {bad[0]}: are the weights sound?")


def _likeliest(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda index: values[index])
