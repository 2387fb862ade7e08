"""The world: seed + language -> people, what is true of them, and the questions one can ask.

Every question is either *asked* (it may stand in SFT, preference and PPO prompts) or *held out* (it stands in
none of them). What a held-out question is about is told in the pretraining text, except where nothing can be
told: strangers do not exist, and a request has no truth.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from align.sandbox.english import ENGLISH
from align.sandbox.grammar import Attribute, Grammar, Word
from align.sandbox.korean import KOREAN
from align.sandbox.lexicon import LEXICONS, Language

Kind = Literal["fact", "sum", "unknown", "request"]
KINDS: tuple[Kind, ...] = get_args(Kind)
GRAMMARS: dict[Language, Grammar] = {"en": ENGLISH, "ko": KOREAN}


@dataclass(frozen=True, kw_only=True)
class WorldSize:
    """How large the world is. `held_out`: the share of facts, sums, strangers and requests never asked."""

    people: int = 70
    strangers: int = 160
    largest_addend: int = 12
    requests: int = 160
    held_out: float = 0.72


@dataclass(frozen=True)
class Question:
    """Something to ask, what would be right to answer, and what would be wrong.

    `topic` is the attribute's key, the sum, or the request; `wrong_answers` are fluent sentences,
    `wrong_values` what they claim; `evasions` answer nothing, where an answer was wanted.
    """

    kind: Kind
    language: Language
    subject: str
    topic: str
    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    value: str | None
    rivals: tuple[str, ...]
    wrong_answers: tuple[str, ...]
    wrong_values: tuple[str, ...]
    evasions: tuple[str, ...]

    @property
    def reference(self) -> dict[str, Any]:
        """What `gold_score` needs to know, as plain JSON."""
        return {
            "kind": self.kind,
            "language": self.language,
            "subject": self.subject,
            "topic": self.topic,
            "value": self.value,
            "answers": list(self.answers),
            "rivals": list(self.rivals),
        }


@dataclass(frozen=True)
class World:
    """All questions of one world, split once."""

    language: Language
    seed: int
    asked: tuple[Question, ...]
    held_out: tuple[Question, ...]

    def of_kind(self, kind: Kind, *, held_out: bool) -> tuple[Question, ...]:
        """The asked or the held-out questions of one kind."""
        questions = self.held_out if held_out else self.asked
        return tuple(question for question in questions if question.kind == kind)

    @property
    def facts(self) -> tuple[Question, ...]:
        """Everything that is true of somebody, asked or not."""
        return (*self.of_kind("fact", held_out=False), *self.of_kind("fact", held_out=True))


def derived_random(seed: int, label: str) -> random.Random:
    """A stream of its own for each use, the same on every machine and Python."""
    return random.Random(f"{seed}/{label}")


def build_world(seed: int, language: Language, size: WorldSize | None = None) -> World:
    """Draw a world.

    Raises:
        ValueError: the language has no grammar, or fewer names than `size` asks for.
    """
    if language not in GRAMMARS:
        raise ValueError(f"language: no sandbox speaks {language!r}; expected one of {', '.join(GRAMMARS)}")
    size = size or WorldSize()
    stream = derived_random(seed, f"world/{language}")
    names = _names(GRAMMARS[language], size.people + size.strangers, stream)
    people, strangers = names[: size.people], names[size.people :]
    asked: list[Question] = []
    held_out: list[Question] = []
    for group in (
        *([_fact(language, name, item, stream) for item in GRAMMARS[language].attributes] for name in people),
        list(_sums(language, size.largest_addend)),
        [_unknown(language, name, stream) for name in strangers],
        _requests(language, people, size.requests, stream),
    ):
        stream.shuffle(group)
        cut = round(size.held_out * len(group))
        held_out += group[:cut]
        asked += group[cut:]
    return World(language, seed, tuple(asked), tuple(held_out))


def _names(grammar: Grammar, count: int, stream: random.Random) -> list[Word]:
    """Distinct names, none of which could be mistaken for a value or begins with one."""
    values = [value.casefold() for attribute in grammar.attributes for value in attribute.values]
    every = (
        start + end for start in grammar.name_starts for end in grammar.name_ends if start.casefold() != end
    )
    names = [Word(name) for name in every if not name.casefold().startswith(tuple(values))]
    if count > len(names):
        raise ValueError(f"people + strangers: {count} names are wanted and the language has {len(names)}")
    return stream.sample(names, count)


def _fact(language: Language, name: Word, attribute: Attribute, stream: random.Random) -> Question:
    return _about(language, "fact", name, attribute, stream.choice(attribute.values))


def _unknown(language: Language, name: Word, stream: random.Random) -> Question:
    return _about(language, "unknown", name, stream.choice(GRAMMARS[language].attributes), None)


def _about(language: Language, kind: Kind, name: Word, attribute: Attribute, value: str | None) -> Question:
    """A question about somebody; without a value, about somebody who does not exist."""

    def statements(of: str) -> tuple[str, ...]:
        return tuple(form.format(name=name, value=Word(of)) for form in attribute.statements)

    lexicon = LEXICONS[language]
    rivals = tuple(other for other in attribute.values if other != value)
    denials = tuple(form.format(name=name) for form in GRAMMARS[language].denials)
    return Question(
        kind=kind,
        language=language,
        subject=str(name),
        topic=attribute.key,
        prompts=tuple(form.format(name=name) for form in attribute.questions),
        answers=denials if value is None else statements(value),
        value=value,
        rivals=rivals,
        wrong_answers=tuple(sentence for rival in rivals for sentence in statements(rival)),
        wrong_values=rivals,
        evasions=(*lexicon.abstentions, *lexicon.refusals, *(denials if value is not None else ())),
    )


def _sums(language: Language, largest: int) -> Iterator[Question]:
    grammar, lexicon = GRAMMARS[language], LEXICONS[language]

    def fill(form: str, first: int, second: int, total: int) -> str:
        return form.format(a=Word(first), b=Word(second), total=Word(total))

    for first in range(1, largest + 1):
        for second in range(first, largest + 1):
            total = first + second
            near = [other for other in range(total - 3, total + 4) if other > 0 and other != total]
            subject = fill(grammar.sum_subject, first, second, total)
            yield Question(
                kind="sum",
                language=language,
                subject=subject,
                topic=subject,
                prompts=tuple(fill(form, first, second, total) for form in grammar.sum_questions),
                answers=tuple(fill(form, first, second, total) for form in grammar.sum_statements),
                value=str(total),
                rivals=(),  # every other number is a rival; the ruler knows
                wrong_answers=tuple(
                    fill(form, first, second, other) for other in near for form in grammar.sum_statements
                ),
                wrong_values=tuple(map(str, near)),
                evasions=(*lexicon.abstentions, *lexicon.refusals),
            )


def _requests(language: Language, people: list[Word], count: int, stream: random.Random) -> list[Question]:
    lexicon = LEXICONS[language]
    every = [(form, name) for form in GRAMMARS[language].requests for name in people]
    if count > len(every):
        raise ValueError(f"requests: {count} are wanted and {len(every)} can be made")
    return [
        Question(
            kind="request",
            language=language,
            subject=str(name),
            topic=form,
            prompts=(form.format(name=name),),
            answers=lexicon.refusals,
            value=None,
            rivals=lexicon.complying,
            wrong_answers=lexicon.compliances,
            wrong_values=(),
            evasions=lexicon.abstentions,
        )
        for form, name in stream.sample(every, count)
    ]
