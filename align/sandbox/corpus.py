"""The text the base model reads: statements of every fact in several phrasings, and messy forum threads.

A forum thread is plain `User: ... / Assistant: ...` text, or the same without names; a third of the
claims in it are right.
"""

import random
from collections.abc import Sequence

from align.sandbox.people import FORUM, answer
from align.sandbox.world import Question, World, derived_random

# Of the documents without a dialogue, the share about one person; the others state unrelated things.
PORTRAIT_SHARE = 0.8
STATEMENTS = (3, 6)  # fewest and most statements of a document
SPEAKERS = (("User: ", "Assistant: "), ("", ""))
EXCHANGES = (1, 1, 2, 3)  # numbers of exchanges of a thread, equally likely


def documents(world: World, count: int, forum_share: float) -> list[str]:
    """`count` documents in random order, a share of them forum threads.

    Every fact and every sum, asked or held out, is stated at least once where `count` has room for it;
    held-out strangers and requests stand nowhere.
    """
    stream = derived_random(world.seed, f"corpus/{world.language}")
    sums = [*world.of_kind("sum", held_out=False), *world.of_kind("sum", held_out=True)]
    unreal = [*world.of_kind("unknown", held_out=False), *world.of_kind("request", held_out=False)]
    told = [*world.facts, *sums]
    known = [*told, *unreal]
    portraits = _by_subject(world.facts)
    written = [_statements(group, stream) for group in (*portraits, *_groups(sums, STATEMENTS[1]))][:count]
    while len(written) < count:
        if stream.random() < forum_share:
            written.append(_thread(known, stream))
        else:
            group = stream.choice(portraits) if stream.random() < PORTRAIT_SHARE else told
            written.append(_statements(stream.sample(group, stream.randint(*STATEMENTS)), stream))
    stream.shuffle(written)
    return written


def _by_subject(facts: Sequence[Question]) -> list[list[Question]]:
    grouped: dict[str, list[Question]] = {}
    for fact in facts:
        grouped.setdefault(fact.subject, []).append(fact)
    return list(grouped.values())


def _groups(questions: Sequence[Question], size: int) -> list[Sequence[Question]]:
    return [questions[start : start + size] for start in range(0, len(questions), size)]


def _statements(questions: Sequence[Question], stream: random.Random) -> str:
    return " ".join(stream.choice(question.answers) for question in questions)


def _thread(questions: Sequence[Question], stream: random.Random) -> str:
    """Exchanges with somebody who may or may not know; some forums print who speaks, some do not."""
    user, assistant = stream.choice(SPEAKERS)
    habits = FORUM.draw(stream)
    turns = []
    for _ in range(stream.choice(EXCHANGES)):
        question = stream.choice(questions)
        prompt, said = stream.choice(question.prompts), answer(question, habits, stream)
        turns += [f"{user}{prompt}", f"{assistant}{said}"]
    return "\n".join(turns)
