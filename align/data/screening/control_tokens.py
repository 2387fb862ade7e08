"""Control tokens of the chat template inside data: a tokenizer takes such text for a change of speaker."""

import re
from collections.abc import Callable, Sequence

from align.data.records import Row, texts_of


def control_tokens(tokens: Sequence[str]) -> Callable[[Row], str | None]:
    """A search for the first of these tokens that stands in a row's text; None where there is none.

    Args:
        tokens: the tokenizer's special tokens, for instance `<|im_end|>`.
    """
    wanted = [re.escape(token) for token in sorted(set(tokens), key=len, reverse=True) if token]
    if not wanted:
        return lambda row: None
    pattern = re.compile("|".join(wanted))

    def found(row: Row) -> str | None:
        for text in texts_of(row):
            if match := pattern.search(text):
                return match.group()
        return None

    return found
