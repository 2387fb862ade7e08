"""Number: the last number of an answer is the answer, as in arithmetic word problems. Torch-free.

Source  Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems", arXiv:2110.14168: `#### 42`
"""

import re
from collections.abc import Sequence
from decimal import Decimal

from align.data.records import Prompt
from align.evaluation.metrics.metric import Column, Columns
from align.evaluation.rows import ACCURACY
from align.rewards.rules import required

MARK = "####"
# A dash after a digit joins two numbers: 2-3 hours.
_NUMBER = re.compile(r"(?:(?<!\d)[-−])?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|(?:(?<!\d)[-−])?\.\d+")


class FinalNumber:
    """1 where the number after the last `####`, or else the last number, is the reference's `answer`."""

    def measure(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Columns:
        """Column `accuracy`. (N,)

        Raises:
            ValueError: a reference has no answer, or no number in it.
        """
        found = []
        for prompt, completion in zip(prompts, completions, strict=True):
            wanted = final_number(str(required(prompt, "answer")))
            if wanted is None:
                raise ValueError(f"the reference's answer holds no number: {prompt.reference['answer']!r}")
            found.append(float(final_number(completion) == wanted))
        return {ACCURACY: Column(found)}


def final_number(text: str) -> Decimal | None:
    """The first number after the last mark, or the last of all where there is no mark; None without any."""
    _, mark, after = text.rpartition(MARK)
    numbers = _NUMBER.findall(after)
    if mark and numbers:
        return _decimal(numbers[0])
    numbers = _NUMBER.findall(text)
    return _decimal(numbers[-1]) if numbers else None


def _decimal(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace("−", "-"))
