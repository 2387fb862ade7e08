"""Constant: what a checkpoint answers -> whether it says nearly the same to everything. Torch-free.

A text made to please a judge, the same for every prompt, can beat good models: 77 % of verdicts over GPT-4
with no answer at all (Zheng et al. 2024, "Cheating automatic LLM benchmarks", arXiv:2410.07137).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

FEWEST_PROMPTS = 10
SAME = 0.5  # share of prompts with one and the same answer
SIMILAR = 0.8  # of what two answers to different prompts have in common, in the median
_GRAM = 8  # characters
_READ = 2000  # characters of an answer

Flag = dict[str, Any]


def constant_flags(suite: str, prompts: Sequence[str], answers: Mapping[str, Sequence[str]]) -> list[Flag]:
    """One entry per checkpoint that answers different prompts alike.

    Args:
        suite: its name.
        prompts: what was asked, by name; of rows that ask the same the first counts. (N,)
        answers: checkpoint -> its answers. (N,) each
    """
    rows = list({name: row for row, name in reversed(list(enumerate(prompts)))}.values())
    if len(rows) < FEWEST_PROMPTS:
        return []
    found = []
    for checkpoint, texts in answers.items():
        asked = [texts[row] for row in rows]
        kind, share, example = _sameness(asked)
        if kind is not None:
            message = (
                f"{checkpoint} gives {kind} answers on {suite} ({100 * share:.0f} % alike over {len(rows)} "
                "different prompts): a win rate says nothing about such a model"
            )
            found.append(
                {
                    "suite": suite,
                    "checkpoint": checkpoint,
                    "kind": kind,
                    "share": share,
                    "example": example[:200],
                    "message": message,
                }
            )
    return found


def _sameness(texts: Sequence[str]) -> tuple[str | None, float, str]:
    """(kind, share, an answer); the share is of equal answers, or of what two answers have in common."""
    squeezed = [" ".join(text.casefold().split()) for text in texts]
    ((most, count),) = Counter(squeezed).most_common(1)
    if count / len(texts) >= SAME:
        return "constant", count / len(texts), most
    half = len(squeezed) // 2
    grams = [_grams(text) for text in squeezed]
    alike = float(np.median([_overlap(grams[row], grams[row + half]) for row in range(half)]))
    return ("near-constant" if alike >= SIMILAR else None), alike, squeezed[0]


def _grams(text: str) -> set[str]:
    return {text[place : place + _GRAM] for place in range(max(1, min(len(text), _READ) - _GRAM + 1))}


def _overlap(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other)
