"""Shots: examples of the task before the question, as turns that were answered.

Source  Brown et al. 2020, "Language Models are Few-Shot Learners", arXiv:2005.14165
"""

from dataclasses import replace

from align.config.spec import NonNegativeInt
from align.data.mixture import chosen
from align.data.records import Prompt
from align.evaluation.variants.variant import Context


class Shots:
    """`n` of the suite's `examples`, the same before every question; one that asks the same is left out."""

    def __init__(self, n: NonNegativeInt, seed: int = 0) -> None:
        self._n, self._seed = n, seed

    def __call__(self, prompt: Prompt, context: Context) -> Prompt:
        """The question after its examples.

        Raises:
            ValueError: the suite has fewer examples.
        """
        if not self._n:
            return prompt
        wanted = min(self._n + 1, len(context.examples))  # one more, in case the question is among them
        rows = chosen(len(context.examples), wanted, f"{self._seed}:shots") if wanted else []
        drawn = [context.examples[row] for row in rows]
        shown = [item for item in drawn if item.messages[0] != prompt.messages[0]][: self._n]
        if len(shown) < self._n:
            raise ValueError(f"{self._n} examples are to be shown and `examples` has {len(context.examples)}")
        turns = (message for item in shown for message in item.messages)
        return replace(prompt, messages=(*turns, *prompt.messages))
