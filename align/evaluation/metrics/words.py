"""Words: answers that are right by holding a certain word. Torch-free."""

import re
from collections.abc import Sequence

from align.data.records import Prompt
from align.evaluation.metrics.metric import Column, Columns
from align.evaluation.rows import ACCURACY
from align.rewards.rules import normalised, required


class Mentions:
    """1 where the reference's `answer` stands in the completion as words of their own."""

    def measure(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Columns:
        """Column `accuracy`. (N,)"""
        pairs = zip(prompts, completions, strict=True)
        return {
            ACCURACY: Column([float(holds(said, str(required(asked, "answer")))) for asked, said in pairs])
        }


class FirstChoice:
    """1 where the first of the `choices` that the completion holds is the reference's `answer`."""

    def __init__(self, choices: tuple[str, ...]) -> None:
        self._choices = tuple(map(normalised, choices))
        self._find = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, self._choices))})(?!\w)")

    def measure(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Columns:
        """Column `accuracy`. (N,)

        Raises:
            ValueError: a reference's answer is none of the choices.
        """
        found = []
        for prompt, completion in zip(prompts, completions, strict=True):
            wanted, said = (
                normalised(str(required(prompt, "answer"))),
                self._find.search(normalised(completion)),
            )
            if wanted not in self._choices:
                raise ValueError(f"the answer {wanted!r} is none of the choices ({', '.join(self._choices)})")
            found.append(float(said is not None and said[0] == wanted))
        return {ACCURACY: Column(found)}


def holds(text: str, words: str) -> bool:
    """Whether words stand in a text, case and white space aside; a Korean particle may follow."""
    found = re.search(rf"(?<!\w){re.escape(normalised(words))}(?![^\W가-힣])", normalised(text))
    return found is not None
