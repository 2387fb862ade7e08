"""Variant: one way of asking a suite's questions, so that ways can be compared question by question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from align.data.records import Conversation, Message, Prompt

KEY = "variant"  # the entry of a prompt's reference that says how it is asked


@dataclass(frozen=True)
class Context:
    """What a way of asking may draw on: the question's number in its suite, and the suite's examples."""

    row: int
    examples: Sequence[Conversation] = field(default_factory=tuple)


class Variant(Protocol):
    """Asks a question in another way; built from a leaf of the suite's `variants:`."""

    def __call__(self, prompt: Prompt, context: Context) -> Prompt:
        """The question as it is put; its reference may know more, or better, than before.

        Raises:
            ValueError: the question cannot be put this way.
        """
        ...


class Plain:
    """The question as it stands."""

    def __call__(self, prompt: Prompt, context: Context) -> Prompt:
        """The prompt itself."""
        return prompt


def varied(
    prompts: Sequence[Prompt], variants: Mapping[str, Variant], examples: Sequence[Conversation]
) -> tuple[list[Prompt], list[int]]:
    """Every question in every way, and the number of the question behind each: (questions x ways,) both."""
    asked, origins = [], []
    for name, variant in variants.items():
        for row, prompt in enumerate(prompts):
            put = variant(prompt, Context(row, examples))
            asked.append(replace(put, reference={**put.reference, KEY: name}))
            origins.append(row)
    return asked, origins


def with_question(prompt: Prompt, text: str) -> Prompt:
    """The same dialogue with another last turn."""
    return replace(prompt, messages=(*prompt.messages[:-1], Message("user", text)))
