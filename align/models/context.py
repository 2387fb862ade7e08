"""Context: how many tokens a model can read."""

from typing import Any


def context_of(model: Any) -> int | None:
    """The most positions that a transformers model has, None where nothing bounds them."""
    found: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return found
