"""Control tokens of the chat template inside data: a tokenizer takes such text for a change of speaker."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from align.data.records import Message, PreferencePair, Row, Text, texts_of

JOINER = "\u2060"  # WORD JOINER: invisible, and no line may break there


class ControlTokens:
    """Searches rows for a tokenizer's special tokens, and can take their power away.

    Args:
        tokens: the special tokens, for instance `<|im_end|>`.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        wanted = [re.escape(token) for token in sorted(set(tokens), key=len, reverse=True) if token]
        self._pattern = re.compile("|".join(wanted)) if wanted else None

    def first(self, row: Row) -> str | None:
        """The first of the tokens that stands in a row's text; None where there is none."""
        return self.first_in(texts_of(row))

    def first_in(self, texts: Sequence[str]) -> str | None:
        """The same of the texts of a row."""
        if self._pattern is None:
            return None
        for text in texts:
            if match := self._pattern.search(text):
                return match.group()
        return None

    def escaped(self, row: Row) -> Row:
        """The row with an invisible character after the first of every token: people read the same."""
        if self._pattern is None:
            return row
        return rewritten(row, self._escaped)

    def _escaped(self, text: str) -> str:
        assert self._pattern is not None
        while match := self._pattern.search(text):  # what is left and right of a token may be one, too
            start = match.start() + 1
            text = text[:start] + JOINER + text[start:]
        return text


def rewritten(row: Row, rewrite: Callable[[str], str]) -> Row:
    """The row with every piece of text that a model reads passed through `rewrite`."""

    def turns(messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(replace(message, content=rewrite(message.content)) for message in messages)

    if isinstance(row, Text):
        return replace(row, text=rewrite(row.text))
    if isinstance(row, PreferencePair):
        return replace(row, prompt=turns(row.prompt), chosen=turns(row.chosen), rejected=turns(row.rejected))
    return replace(row, messages=turns(row.messages))
