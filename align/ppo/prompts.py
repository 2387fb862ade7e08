"""Prompts: rows -> token ids that fit, and the order in which they are asked."""

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from align.data.errors import DataError
from align.data.records import Prompt
from align.data.row_file import Chosen
from align.data.screening.findings import Findings
from align.data.spec import ScreeningSpec
from align.models.rendering import render_prompt
from align.ppo.spec import PpoSpec
from align.runtime.token_checks import TOO_LONG, TokenChecks, TokenFindings

USUAL = ScreeningSpec()
CHUNK = 1000


@dataclass(frozen=True)
class Asked:
    """A prompt as the policy reads it; `episode` numbers the episodes of a run from 0."""

    prompt: Prompt
    tokens: tuple[int, ...]
    episode: int


class PromptPlan:
    """Every prompt once per pass, in an order that depends on the seed and the pass alone.

    Which prompts an update asks follows from its number, so a resumed run needs no cursor.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        tokens: Sequence[Sequence[int]],
        seed: int,
        sources: Sequence[str] = (),
    ) -> None:
        """`sources` are the names of those that the prompts come from."""
        self._prompts = prompts
        self._tokens = tokens
        self._seed = seed
        self.sources = sources

    def batch(self, first: int, size: int) -> list[Asked]:
        """The prompts of the episodes `first` to `first + size - 1`."""
        rows = rows_in_turn(first, size, len(self._prompts), self._seed)
        return [
            Asked(self._prompts[row], tuple(self._tokens[row]), episode)
            for episode, row in enumerate(rows, start=first)
        ]


def rows_in_turn(first: int, size: int, count: int, seed: int) -> list[int]:
    """`size` of `count` rows from the `first` turn on: each once per pass, in an order of the pass's own."""
    turns = range(first, first + size)
    return [int(_order(seed, turn // count, count)[turn % count]) for turn in turns]


@lru_cache(maxsize=2)
def _order(seed: int, lap: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, lap)).permutation(count)


@dataclass(frozen=True)
class Fitting:
    """Prompts that are short enough, their token ids, and what was wrong with the others."""

    prompts: Sequence[Prompt]
    tokens: Sequence[Sequence[int]]
    findings: Findings


class _Spelt(Sequence[list[int]]):
    """Token ids of prompts that lie on disk, made when they are asked for."""

    def __init__(self, prompts: Sequence[Prompt], tokenizer: PreTrainedTokenizerBase) -> None:
        self._prompts = prompts
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        return len(self._prompts)

    def __getitem__(self, row: Any) -> Any:
        is_one = not isinstance(row, slice)
        ids = _encoded([self._prompts[row]] if is_one else self._prompts[row], self._tokenizer)
        return ids[0] if is_one else ids


def longest_prompt(spec: PpoSpec, *contexts: int | None) -> int | None:
    """The most tokens that leave room for an answer in every one of `contexts`, and that the stage allows."""
    bounds = [context - spec.decoding.max_new_tokens for context in contexts if context is not None]
    bounds += [] if spec.max_prompt_tokens is None else [spec.max_prompt_tokens]
    return min(bounds, default=None)


def fitting(
    prompts: Sequence[Prompt],
    tokenizer: PreTrainedTokenizerBase,
    longest: int | None,
    policy: ScreeningSpec = USUAL,
) -> Fitting:
    """Prompts of at most `longest` tokens.

    Raises:
        DataError: none of them fits, or one that does not is an error.
    """
    checks = TokenChecks(
        tokenizer, longest, {TOO_LONG: policy.too_long}, "raise max_prompt_tokens where the model reads more"
    )
    found = TokenFindings()
    kept, tokens, shortest = array("q"), list[list[int]](), sys.maxsize
    is_here = isinstance(prompts, list)
    for start in range(0, len(prompts), CHUNK):
        part = prompts[start : start + CHUNK]
        for row, (prompt, ids) in enumerate(zip(part, _encoded(part, tokenizer), strict=True), start=start):
            shortest = min(shortest, len(ids))
            if checks.is_unforged(prompt, prompt.messages, ids) and checks.fits(prompt, len(ids)):
                kept.append(row)
                tokens += [ids] if is_here else []
        found.add(checks.take())
    if errors := found.findings.errors:
        raise DataError("\n".join(f"data: {finding.error()}" for finding in errors))
    if not kept:
        shortest = shortest if len(prompts) else 0
        raise DataError(f"data: no prompt has at most {longest} tokens; the shortest has {shortest}")
    if is_here:
        return Fitting([prompts[row] for row in kept], tokens, found.findings)
    fitted = Chosen(prompts, kept)
    return Fitting(fitted, _Spelt(fitted, tokenizer), found.findings)


def too_long(prompts: Sequence[Prompt], tokenizer: PreTrainedTokenizerBase, longest: int | None) -> int:
    """How many prompts have more than `longest` tokens."""
    return sum(longest is not None and len(ids) > longest for ids in _encoded(prompts, tokenizer))


def _encoded(prompts: Sequence[Prompt], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    texts = [render_prompt(tokenizer, [turn.as_dict() for turn in prompt.messages]) for prompt in prompts]
    found: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    return found
