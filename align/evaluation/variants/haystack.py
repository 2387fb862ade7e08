"""Haystack: a fact somewhere in a long text, then a question about it.

Source  Kamradt 2023, "Needle in a Haystack", https://github.com/gkamradt/LLMTest_NeedleInAHaystack
"""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from align.config.spec import ContentPath, Fraction, PositiveInt
from align.data.errors import DataError
from align.data.readers.local import local_rows
from align.data.records import Prompt
from align.evaluation.variants.variant import Context, with_question
from align.rewards.rules import required

_PLACES = ("garden shed", "old library", "blue kitchen", "harbour office", "stone bridge", "music room")
_THINGS = ("safe", "locker", "gate", "cellar door", "cabinet", "letter box")


def write_needles(folder: Path, *, seed: int = 0, count: PositiveInt = 20) -> None:
    """A `generator`: needles.jsonl, questions about secret numbers, each with the needle that answers it."""
    stream = random.Random(f"{seed}/needles")
    pairs = stream.sample([(thing, place) for thing in _THINGS for place in _PLACES], count)
    lines = []
    for thing, place in pairs:
        number = stream.randint(10_000, 99_999)
        needle = f"The secret number of the {thing} in the {place} is {number}."
        question = f"What is the secret number of the {thing} in the {place}?"
        lines.append(json.dumps({"prompt": question, "reference": {"needle": needle, "answer": str(number)}}))
    (folder / "needles.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


class Haystack:
    """The reference's `needle` among `words` words of a text file, at `depth` (0: first, 1: last).

    Lengths are in words of the file, since checkpoints differ in tokens; English has some 1.3 tokens a word.
    """

    def __init__(self, path: ContentPath, words: PositiveInt, depth: Fraction) -> None:
        self._hay, self._words, self._depth = _words_of(Path(path).expanduser()), words, depth

    def __call__(self, prompt: Prompt, context: Context) -> Prompt:
        """The text with its needle, and the question after it."""
        start = context.row * self._words % len(self._hay)
        hay = [self._hay[(start + step) % len(self._hay)] for step in range(self._words)]
        place = round(self._depth * len(hay))
        text = " ".join([*hay[:place], required(prompt, "needle"), *hay[place:]])
        question = prompt.messages[-1].content
        put = with_question(prompt, f"{text}\n\nAnswer from the text above. {question}")
        return replace(put, reference={**put.reference, "words": self._words, "depth": self._depth})


@cache
def _words_of(path: Path) -> Sequence[str]:
    if not path.is_file():
        raise ValueError(
            f"path: {path} does not exist; set ALIGN_DATA (paths.data) to the folder that holds it"
        )
    try:
        words = [word for _, row in local_rows(path) for word in str(row.get("text", "")).split()]
    except DataError as cause:
        raise ValueError(f"path: {cause}") from cause
    if not words:
        raise ValueError(f"path: {path} holds no text")
    return words
