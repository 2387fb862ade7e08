"""Context: how many tokens a model can read."""

from typing import Any


def context_of(model: Any) -> int | None:
    """The most positions that a transformers model has, None where nothing bounds them."""
    return context_of_config(model.config)


def context_of_config(config: Any) -> int | None:
    """The same, of the model's configuration alone."""
    found: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return found
