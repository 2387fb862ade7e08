"""The sandbox as files: seed + language + sizes -> JSONL that takes the same road as real data, with cards.

Writes  text.jsonl (pretraining), sft.jsonl (demonstrations), pairs.jsonl (preferences), prompts.jsonl
        (on-policy training): asked questions only; held_out.jsonl, asked.jsonl, limits.jsonl (evaluation).
        Prompts come with the `reference` that the ruler needs; nothing trains on it;
        one card beside each, `<name>.md`
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from align.sandbox import corpus
from align.sandbox.card import CARDS, card
from align.sandbox.lexicon import Language
from align.sandbox.people import DEMONSTRATORS, POOL, answer, compare
from align.sandbox.world import Kind, Question, World, WorldSize, build_world, derived_random

Row = Mapping[str, Any]

# Of the annotators' coin: a lead of one gold point wins 92 % of the time.
TEMPERATURE = 0.3
# What people ask about in training.
KIND_WEIGHTS: Mapping[Kind, float] = {"fact": 0.75, "sum": 0.1, "unknown": 0.05, "request": 0.1}


def write_sandbox(
    folder: Path,
    *,
    seed: int,
    language: Language = "en",
    people: int = 70,
    documents: int = 24_000,
    demonstrations: int = 8_000,
    pairs: int = 8_000,
    prompts: int = 2_000,
    asked: int = 140,
    forum_share: float = 0.6,
    temperature: float = TEMPERATURE,
) -> None:
    """Write every file of one world.

    Args:
        folder: where; it must exist.
        seed: draws the world and everything said in it.
        language: en or ko.
        people: how many exist; each has eight facts, six of which are never asked in training.
        documents: rows of text.jsonl.
        demonstrations: rows of sft.jsonl.
        pairs: rows of pairs.jsonl.
        prompts: most rows of prompts.jsonl; there are fewer where fewer can be asked.
        asked: most rows of asked.jsonl.
        forum_share: share of the documents that are forum threads.
        temperature: of the annotators' Bradley-Terry coin.

    Raises:
        ValueError: the language has no sandbox, or not enough names for `people`.
    """
    world = build_world(seed, language, WorldSize(people=people))
    rows: dict[str, Iterator[Row]] = {
        "text": _texts(world, documents, forum_share),
        "sft": _demonstrations(world, demonstrations),
        "pairs": _pairs(world, pairs, temperature),
        "prompts": _prompts(world, prompts),
        "held_out": _exam(world, world.of_kind("fact", held_out=True)),
        "asked": _exam(world, world.of_kind("fact", held_out=False), asked),
        "limits": _exam(world, [question for question in world.held_out if question.kind != "fact"]),
    }
    for name in CARDS:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows[name]]
        file = folder / f"{name}.jsonl"
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (folder / f"{name}.md").write_text(card(name, file, len(lines), world), encoding="utf-8")


def _texts(world: World, count: int, forum_share: float) -> Iterator[Row]:
    return ({"text": text} for text in corpus.documents(world, count, forum_share))


def _demonstrations(world: World, count: int) -> Iterator[Row]:
    stream = derived_random(world.seed, f"sft/{world.language}")
    for question, prompt in _asked(world, count, stream):
        said = answer(question, DEMONSTRATORS.draw(stream), stream)
        yield {"messages": [_user(prompt), _assistant(said)]}


def _pairs(world: World, count: int, temperature: float) -> Iterator[Row]:
    stream = derived_random(world.seed, f"pairs/{world.language}")
    for question, prompt in _asked(world, count, stream):
        chosen, rejected = compare(question, POOL, temperature, stream)
        yield {
            "prompt": [_user(prompt)],
            "chosen": [_assistant(chosen)],
            "rejected": [_assistant(rejected)],
        }


def _prompts(world: World, count: int) -> Iterator[Row]:
    """Distinct asked prompts, in proportion to what people ask about as far as there are enough.

    What is right comes with them, so that what a policy says in training can be measured.
    """
    stream = derived_random(world.seed, f"prompts/{world.language}")
    chosen = []
    for kind, weight in KIND_WEIGHTS.items():
        questions = world.of_kind(kind, held_out=False)
        every = [(question, prompt) for question in questions for prompt in question.prompts]
        chosen += stream.sample(every, min(len(every), round(count * weight)))
    stream.shuffle(chosen)
    return ({"prompt": [_user(prompt)], "reference": question.reference} for question, prompt in chosen)


def _exam(world: World, questions: Sequence[Question], count: int | None = None) -> Iterator[Row]:
    """Questions in random order, each in one of its phrasings, with what is right; all, or `count`."""
    stream = derived_random(world.seed, f"exam/{world.language}")
    for question in stream.sample(questions, min(len(questions), count or len(questions))):
        yield {"prompt": [_user(stream.choice(question.prompts))], "reference": question.reference}


def _asked(world: World, count: int, stream: random.Random) -> Iterator[tuple[Question, str]]:
    """Asked questions, each with one of its phrasings."""
    by_kind = {kind: world.of_kind(kind, held_out=False) for kind in KIND_WEIGHTS}
    kinds = stream.choices(list(KIND_WEIGHTS), weights=list(KIND_WEIGHTS.values()), k=count)
    for kind in kinds:
        question = stream.choice(by_kind[kind])
        yield question, stream.choice(question.prompts)


def _user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def _assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}
