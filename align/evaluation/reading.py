"""Reading: a checkpoint + texts -> how likely it finds each of them."""

import math
from collections.abc import Sequence
from typing import Any

from align.evaluation.tax_spec import TextRead
from align.models.context import context_of
from align.models.likelihood import answer_logprobs

BATCH = 16  # texts read at once
MOST_TOKENS = 1024  # of each text the beginning is read


def text_logprobs(model: Any, tokenizer: Any, texts: Sequence[str]) -> list[TextRead]:
    """How every text is read after its first token; of one token nothing is.

    Raises:
        ValueError: a likelihood is not finite: the weights are damaged, or training diverged.
    """
    limit = min(MOST_TOKENS, context_of(model) or MOST_TOKENS)
    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    found = [TextRead(0.0, 0)] * len(encoded)
    rows = [row for row, ids in enumerate(encoded) if len(ids) > 1]
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        values = answer_logprobs(model, [(encoded[row][:1], encoded[row][1:limit]) for row in batch])
        for row, value in zip(batch, values, strict=True):
            if not math.isfinite(value):
                raise ValueError(f"the likelihood of text {row + 1} is {value}: are the weights sound?")
            ids = encoded[row]
            found[row] = TextRead(value, min(len(ids), limit) - 1, len(ids) <= limit)
    return found
