"""Instruction following: IFEval's own checkers, strict and loose, by prompt and by instruction.

The checkers are those of lm-eval; they are imported when they are needed. Instructions about sentences are
checked with NLTK's Punkt as the package ships it, without the model that NLTK would download.

Source  Zhou et al. 2023, "Instruction-Following Evaluation for Large Language Models", arXiv:2311.07911, §2.3
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

from align.data.records import Prompt
from align.evaluation.metrics.metric import Column, Columns
from align.evaluation.rows import INSTRUCTION_LOOSE, INSTRUCTION_STRICT, PROMPT_LOOSE, PROMPT_STRICT
from align.rewards.rules import required

NEEDS = ("lm_eval", "langdetect", "immutabledict", "nltk")


class InstructionFollowing:
    """Follows every instruction of the prompt? Loosely: also without first or last line, or asterisks.

    The reference holds `key`, `instruction_id_list` and `kwargs`, as IFEval's file has them.
    """

    def measure(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> Columns:
        """Columns `prompt_strict`, `prompt_loose`, `instruction_strict`, `instruction_loose`. (N,)

        Raises:
            ValueError: lm-eval is not installed, or it knows no such instruction.
        """
        pairs = list(zip(prompts, completions, strict=True))
        strict = [followed(prompt, completion, loose=False) for prompt, completion in pairs]
        loose = [followed(prompt, completion, loose=True) for prompt, completion in pairs]
        weights = [float(len(found)) for found in strict]
        return {
            PROMPT_STRICT: Column([float(all(found)) for found in strict]),
            PROMPT_LOOSE: Column([float(all(found)) for found in loose]),
            INSTRUCTION_STRICT: Column([sum(found) / len(found) for found in strict], weights),
            INSTRUCTION_LOOSE: Column([sum(found) / len(found) for found in loose], weights),
        }


def followed(prompt: Prompt, completion: str, *, loose: bool) -> list[bool]:
    """Whether each instruction of a prompt is followed, in their order.

    Raises:
        ValueError: lm-eval is not installed, or it knows no such instruction.
    """
    checkers = _checkers()
    names = [str(name).removeprefix("en:") for name in required(prompt, "instruction_id_list")]
    if unknown := [name for name in names if name not in checkers.instructions_registry.INSTRUCTION_DICT]:
        raise ValueError(f"lm-eval has no checker for the instruction {unknown[0]!r}")
    asked = checkers.InputExample(
        key=required(prompt, "key"),
        instruction_id_list=names,
        prompt=prompt.messages[-1].content,
        kwargs=required(prompt, "kwargs"),
    )
    check = checkers.test_instruction_following_loose if loose else checkers.test_instruction_following_strict
    return [bool(verdict) for verdict in check(asked, completion).follow_instruction_list]


@cache
def _checkers() -> ModuleType:
    """lm-eval's module of IFEval, with a splitter of sentences that needs no download."""
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise ValueError(
            f"IFEval's checkers come with lm-eval, and {missing[0]} is not installed: "
            "pip install 'align[benchmarks]'"
        )
    import langdetect  # noqa: PLC0415
    import nltk  # noqa: PLC0415

    with _no_download(nltk):
        from lm_eval.tasks.ifeval import instructions_util, utils  # noqa: PLC0415

    splitter = nltk.tokenize.punkt.PunktSentenceTokenizer()
    words = nltk.tokenize.NLTKWordTokenizer()

    def word_tokenize(text: str) -> list[str]:
        return [word for sentence in splitter.tokenize(text) for word in words.tokenize(sentence)]

    instructions_util.nltk = SimpleNamespace(tokenize=nltk.tokenize, word_tokenize=word_tokenize)
    instructions_util._get_sentence_tokenizer = lambda: splitter
    langdetect.DetectorFactory.seed = 0  # otherwise its verdicts differ from call to call
    return utils


@contextmanager
def _no_download(nltk: Any) -> Iterator[None]:
    """lm-eval asks for a model as soon as it is imported; offline that takes long, and fails noisily."""
    find = nltk.data.find
    nltk.data.find = lambda *arguments, **options: None
    try:
        yield
    finally:
        nltk.data.find = find
