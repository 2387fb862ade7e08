"""Sandbox: a question with a source before it, which states the answer, or something else about the subject.

Of people who exist the source tells the truth. Strangers have none, so that what the source says of them
stands nowhere else: who repeats it has read it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from align.data.records import Prompt
from align.evaluation.variants.variant import Context, with_question
from align.rewards.rules import required
from align.sandbox.grammar import Attribute, Word
from align.sandbox.world import GRAMMARS

TOLD = "told"  # what the source tells: `answer` or `other`


class SandboxSource:
    """States a fact, then asks; `told: other` states one that was not asked for."""

    def __init__(self, told: Literal["answer", "other"] = "answer") -> None:
        self._told = told

    def __call__(self, prompt: Prompt, context: Context) -> Prompt:
        """The question after its source.

        Raises:
            ValueError: the prompt asks about nobody: it is no fact of the sandbox.
        """
        asked = attribute_of(prompt)
        others = [item for item in _attributes(prompt) if item != asked]
        told = asked if self._told == "answer" else others[context.row % len(others)]
        value = prompt.reference["value"] if told is asked else None
        value = value or told.values[context.row % len(told.values)]
        source = statements(told, prompt.reference["subject"], value)[0]
        known = {**prompt.reference, TOLD: self._told, "source": source}
        if told is asked:
            known |= _answered(asked, prompt.reference["subject"], value)
        question = with_question(prompt, f"{source} {prompt.messages[-1].content}")
        return replace(question, reference=known)


def attribute_of(prompt: Prompt) -> Attribute:
    """What a question of the sandbox asks about somebody.

    Raises:
        ValueError: the prompt asks about nobody: it is no fact of the sandbox.
    """
    topic = required(prompt, "topic")
    for item in _attributes(prompt):
        if item.key == topic:
            return item
    raise ValueError(f"the sandbox has a source about people only, not about {topic!r}")


def _attributes(prompt: Prompt) -> tuple[Attribute, ...]:
    return GRAMMARS[required(prompt, "language")].attributes


def statements(attribute: Attribute, subject: str, value: str) -> list[str]:
    """What can be said where somebody's attribute has a value, particles as the words' sounds ask for."""
    return [form.format(name=Word(subject), value=Word(value)) for form in attribute.statements]


def _answered(attribute: Attribute, subject: str, value: str) -> Mapping[str, Any]:
    """What the ruler needs to know where the answer is `value`, whoever is asked about."""
    rivals = [other for other in attribute.values if other != value]
    return {
        "kind": "fact",
        "value": value,
        "answers": statements(attribute, subject, value),
        "rivals": rivals,
    }
