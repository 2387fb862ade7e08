"""Speech: a tokenizer and its chat template -> what would go wrong when a model is trained on their writing.

Every dialogue is rendered to text and encoded without further special tokens, so a beginning of text comes
from the template alone.
"""

from collections.abc import Iterator

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from align.models.rendering import Turns, render_prompt

_ASKED = ({"role": "user", "content": "first question"},)
_ANSWER = {"role": "assistant", "content": "first answer"}
_GOING_ON = (*_ASKED, _ANSWER, {"role": "user", "content": "second question"})
_LAST = {"role": "assistant", "content": "second answer"}


def template_problems(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What keeps a template from being trained with; each line names what is there and a way out."""
    try:
        problems = [line for turns, answer in _dialogues() for line in _problems(tokenizer, turns, answer)]
    except TemplateError as problem:
        return [f"the template cannot write a dialogue of user and assistant: {problem}; choose another"]
    return list(dict.fromkeys(problems))


def template_warnings(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """What works, and is probably not meant."""
    bos = tokenizer.bos_token_id
    if bos is None or bos not in tokenizer("a")["input_ids"][:1] or _opening(tokenizer)[:1] == [bos]:
        return []
    return [
        f"the tokenizer opens a text with {tokenizer.bos_token}, and the chat template writes none: a model "
        "that was trained with it will not see it; put {{ bos_token }} at the head of the template"
    ]


def _dialogues() -> Iterator[tuple[Turns, dict[str, str]]]:
    yield _ASKED, _ANSWER
    yield _GOING_ON, _LAST


def _problems(tokenizer: PreTrainedTokenizerBase, turns: Turns, answer: dict[str, str]) -> Iterator[str]:
    prompt = render_prompt(tokenizer, turns)
    whole = str(tokenizer.apply_chat_template([*map(dict, turns), answer], tokenize=False))
    if not whole.startswith(prompt):
        yield (
            "the template is not prefix-preserving: it writes a prompt differently when an answer follows "
            f"({_difference(prompt, whole)}), so the answer cannot be told from the prompt; choose another"
        )
        return
    said, found, closing = whole[len(prompt) :].partition(answer["content"])
    if not found:
        yield f"the template leaves out what the assistant says (it writes {said!r}); choose another"
    elif tokenizer.eos_token not in closing:
        yield (
            f"the template closes an answer with {closing!r} and not with the tokenizer's EOS "
            f"{tokenizer.eos_token!r}: a model never learns to stop; choose another template, or make what "
            "closes a turn the tokenizer's eos_token"
        )
    bos = tokenizer.bos_token_id
    if bos is not None and _opening(tokenizer)[:2] == [bos, bos]:
        yield f"the template opens a dialogue with {tokenizer.bos_token} twice; write it once"


def _opening(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    ids: list[int] = tokenizer(render_prompt(tokenizer, _ASKED), add_special_tokens=False)["input_ids"]
    return ids


def _difference(prompt: str, whole: str) -> str:
    place = next(
        (n for n, (one, other) in enumerate(zip(prompt, whole, strict=False)) if one != other), len(whole)
    )
    return f"{prompt[place : place + 20]!r} becomes {whole[place : place + 20]!r}"
