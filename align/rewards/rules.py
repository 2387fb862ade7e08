"""Rules: scores that are computed rather than learned. Torch-free."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from align.data.records import Prompt
from align.sandbox.gold import gold_score

_SURROUNDING = " .,;:!?\"'`()[]{}*“”‘’«»。、"  # no signs: -5 is not 5


class LengthReward:
    """0 up to `free` characters, then `per_character` for each one beyond; negative values keep answers
    short."""

    def __init__(self, free: int = 0, per_character: float = -0.001) -> None:
        self._free = free
        self._per_character = per_character

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        """One score per completion. (B,)"""
        return [self._per_character * max(0, len(completion) - self._free) for completion in completions]


class PatternReward:
    """`present` where a regular expression is found, else `absent`; with `whole` it must match the entire
    completion.

    A format is a pattern that must match as a whole, such as `<think>.*</think>\\s*<answer>.*</answer>`.
    """

    def __init__(self, pattern: str, present: float = 1.0, absent: float = 0.0, whole: bool = False) -> None:
        compiled = compiled_pattern(pattern)
        self._find = compiled.fullmatch if whole else compiled.search
        self._present = present
        self._absent = absent

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        """One score per completion. (B,)"""
        return [self._present if self._find(completion) else self._absent for completion in completions]


class ExactAnswer:
    """1 where the answer equals one that the prompt's reference accepts, else 0.

    `key` names the entry of the reference, one text or a list of them. `extract` is a regular expression
    whose last match (its first group, where it has one) is the answer within the completion; null
    compares all of it. Case, surrounding punctuation and the amount of white space do not count.
    """

    def __init__(self, key: str = "answer", extract: str | None = None) -> None:
        self._key = key
        self._extract = None if extract is None else compiled_pattern(extract)

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        """One score per completion. (B,)"""
        pairs = zip(prompts, completions, strict=True)
        return [float(self._answer(completion) in self._accepted(prompt)) for prompt, completion in pairs]

    def _accepted(self, prompt: Prompt) -> set[str]:
        accepted = required(prompt, self._key)
        return {normalised(str(item)) for item in (accepted if isinstance(accepted, list) else [accepted])}

    def _answer(self, completion: str) -> str:
        if self._extract is None:
            return normalised(completion)
        matches = list(self._extract.finditer(completion))
        return normalised(matches[-1][1 if self._extract.groups else 0]) if matches else ""


class SandboxGold:
    """The sandbox's hidden gold score: for measurement only, never for training."""

    is_for_training = False

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        """One score per completion, in [-2, 2]. (B,)"""
        pairs = zip(prompts, completions, strict=True)
        return [gold_score(_sandbox_reference(prompt), completion) for prompt, completion in pairs]


def _sandbox_reference(prompt: Prompt) -> Any:
    required(prompt, "kind")
    return prompt.reference


def required(prompt: Prompt, key: str) -> Any:
    """An entry of the prompt's reference.

    Raises:
        ValueError: the dataset gave the prompt no such entry.
    """
    if key not in prompt.reference:
        known = ", ".join(prompt.reference) or "nothing"
        raise ValueError(f"needs `{key}` in the reference of every prompt, but a prompt has {known}")
    return prompt.reference[key]


def compiled_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a regular expression in which a dot also matches a line break.

    Raises:
        ValueError: the expression is malformed.
    """
    try:
        return re.compile(pattern, re.DOTALL)
    except re.error as cause:
        raise ValueError(f"{pattern!r} is not a regular expression: {cause}") from cause


def normalised(text: str) -> str:
    """Case folded, compatibility forms unified, white space collapsed, surrounding punctuation removed."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.strip(_SURROUNDING)
