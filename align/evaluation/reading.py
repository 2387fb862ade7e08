"""Reading: a checkpoint + texts -> how likely it finds each of them."""

from collections.abc import Sequence
from typing import Any

from align.models.context import context_of
from align.models.likelihood import answer_logprobs

BATCH = 16  # texts read at once
MOST_TOKENS = 1024  # of each text the beginning is read


def text_logprobs(model: Any, tokenizer: Any, texts: Sequence[str]) -> list[tuple[float, int]]:
    """(log-probability in nats, tokens) of every text after its first token; of one token there is none."""
    limit = min(MOST_TOKENS, context_of(model) or MOST_TOKENS)
    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    rows = [(ids[:1], ids[1:limit]) for ids in encoded if len(ids) > 1]
    found: list[tuple[float, int]] = []
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        values = answer_logprobs(model, batch)
        found += [(value, len(rest)) for value, (_, rest) in zip(values, batch, strict=True)]
    return found
