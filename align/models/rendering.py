"""Rendering: turns -> the text a model reads, with a conversation always ending at its last EOS.

A turn is the `{"role", "content"}` mapping that chat templates expect.
"""

from collections.abc import Mapping, Sequence

from transformers import PreTrainedTokenizerBase

Turns = Sequence[Mapping[str, str]]


def render(tokenizer: PreTrainedTokenizerBase, turns: Turns) -> str:
    """A finished conversation; whatever the template writes after the final end of turn is cut off."""
    text = str(tokenizer.apply_chat_template(_plain(turns), tokenize=False))
    end = text.rfind(tokenizer.eos_token)
    return text if end < 0 else text[: end + len(tokenizer.eos_token)]


def render_prompt(tokenizer: PreTrainedTokenizerBase, turns: Turns) -> str:
    """An unfinished conversation, up to where the assistant starts to write."""
    return str(tokenizer.apply_chat_template(_plain(turns), tokenize=False, add_generation_prompt=True))


def _plain(turns: Turns) -> list[dict[str, str]]:
    return [dict(turn) for turn in turns]
