"""Encoding: a conversation that people type -> token ids, in which only the template writes control tokens.

A tokenizer takes `<|im_end|>` in a text for the end of a turn, whoever wrote it. Here such text is cut out,
the template is applied around it, and it comes back letter by letter.
"""

import re
import secrets
from collections.abc import Mapping, Sequence

from transformers import PreTrainedTokenizerBase

from align.data.errors import DataError
from align.models.rendering import render_prompt

Turns = Sequence[Mapping[str, str]]


def prompt_ids(tokenizer: PreTrainedTokenizerBase, turns: Turns) -> list[int]:
    """Token ids of an unfinished conversation.

    Raises:
        DataError: text would become a control token all the same, or the template refuses these turns.
    """
    tokens = [token for token in tokenizer.all_special_tokens if token]
    pattern = re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) or r"(?!)")
    mark = f"\ue000{secrets.token_hex(8)}\ue000"
    cut = [str(found) for turn in turns for found in pattern.findall(turn["content"])]
    marked = [{**turn, "content": pattern.sub(mark, turn["content"])} for turn in turns]
    parts = _rendered(tokenizer, marked).split(mark)
    if len(parts) != len(cut) + 1:
        raise DataError("the chat template leaves out or repeats what was typed; choose another --template")
    ids = _ids(tokenizer, parts[0])
    for text, following in zip(cut, parts[1:], strict=True):
        ids += _literal(tokenizer, text) + _ids(tokenizer, following)
    return ids


def _rendered(tokenizer: PreTrainedTokenizerBase, turns: Turns) -> str:
    try:
        return render_prompt(tokenizer, turns)
    except Exception as problem:  # a template is code of the model's, and refuses turns in its own words
        raise DataError(f"the chat template refuses this conversation: {problem}") from problem


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
    return found


def _literal(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The text as letters; no id of it is a control token."""
    found: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    if set(found) & set(tokenizer.all_special_ids):
        raise DataError(f"{text!r} is a control token of this model, and it has no other way to spell it")
    return found
