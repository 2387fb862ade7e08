"""The people of the sandbox: those who demonstrate answers, and those who compare them.

Everybody is wrong, rude or wordy at times, some much more often than others: who knows little also tends to
shout, and words things as others who know little do: manners and wording tell what a reader cannot check. A
crowd is so many of the one and so many of the other. Annotators prefer what the ruler scores higher, by a
Bradley-Terry coin.

Source: Bradley and Terry 1952, "Rank Analysis of Incomplete Block Designs", Biometrika 39.
"""

import math
import random
from dataclasses import dataclass
from typing import Literal

from align.sandbox.gold import gold_score
from align.sandbox.lexicon import LEXICONS, Lexicon
from align.sandbox.world import Question

Substance = Literal["right", "wrong", "abstain"]


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How somebody answers: the share of answers with each trait; traits are drawn independently.

    What is neither right nor abstaining is wrong. Who abstains says so, refuses, or denies that there is such
    a person: what is right of strangers is an excuse elsewhere. `curt` answers give a bare value, where there
    is one; `first_wording` is the share in the first of the two ways in which everything can be put.
    """

    right: float
    abstain: float
    rude: float
    wordy: float
    courteous: float = 0.05
    curt: float = 0.05
    first_wording: float = 0.5


KNOWER = Habits(right=0.95, abstain=0.03, rude=0.05, wordy=0.15, curt=0.02, first_wording=0.97)
CRANK = Habits(right=0.10, abstain=0.15, rude=0.75, wordy=0.60, curt=0.30, first_wording=0.05)


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """People who know and cranks, in a proportion."""

    knowers: float

    def draw(self, stream: random.Random) -> Habits:
        """Somebody of the crowd."""
        return KNOWER if stream.random() < self.knowers else CRANK


FORUM = Crowd(knowers=0.28)
DEMONSTRATORS = Crowd(knowers=0.78)
POOL = Crowd(knowers=0.5)


def answer(question: Question, habits: Habits, stream: random.Random) -> str:
    """One answer as somebody with these habits would give it."""
    lexicon = LEXICONS[question.language]
    core = _core(question, habits, stream)
    before, after = _surroundings(habits, lexicon, stream)
    return " ".join([*before, core, *after])


def prefers_first(first: float, second: float, temperature: float, stream: random.Random) -> bool:
    """Toss the Bradley-Terry coin: first wins with probability sigmoid((first - second) / temperature)."""
    return stream.random() < first_wins_probability(first, second, temperature)


def first_wins_probability(first: float, second: float, temperature: float) -> float:
    """The probability behind `prefers_first`, from two gold scores."""
    return 1 / (1 + math.exp((second - first) / temperature))


def compare(question: Question, crowd: Crowd, temperature: float, stream: random.Random) -> tuple[str, str]:
    """Two people's answers, the one an annotator prefers first; equally good ones are not shown."""
    while True:
        one, other = (answer(question, crowd.draw(stream), stream) for _ in range(2))
        first, second = (gold_score(question.reference, text) for text in (one, other))
        if first != second:
            return (one, other) if prefers_first(first, second, temperature, stream) else (other, one)


def _draw_substance(habits: Habits, stream: random.Random) -> Substance:
    point = stream.random()
    if point < habits.right:
        return "right"
    return "abstain" if point < habits.right + habits.abstain else "wrong"


def _core(question: Question, habits: Habits, stream: random.Random) -> str:
    right_values = () if question.value is None else (question.value,)
    values, wordings = {
        "right": (right_values, question.answers),
        "wrong": (question.wrong_values, question.wrong_answers),
        "abstain": ((), question.evasions),
    }[_draw_substance(habits, stream)]
    if values and stream.random() < habits.curt:
        return f"{stream.choice(values)}."
    return stream.choice(wordings[0 if stream.random() < habits.first_wording else 1 :: 2])


def _surroundings(habits: Habits, lexicon: Lexicon, stream: random.Random) -> tuple[list[str], list[str]]:
    """Sentences before and after the answer proper."""
    before: list[str] = []
    after: list[str] = []
    if stream.random() < habits.rude:
        stream.choice((before, after)).append(stream.choice(lexicon.insults))
    if stream.random() < habits.wordy:
        for filler in stream.sample(lexicon.fillers, stream.choice((1, 2))):
            stream.choice((before, after)).append(filler)
    elif stream.random() < habits.courteous:
        after.append(stream.choice(lexicon.courtesies))
    return before, after
