"""Limit: a training stage -> its longest row in tokens, known before there are weights."""

from dataclasses import fields
from typing import Any

from align.training.spec import TrainingSpec


def limit_of(stage: TrainingSpec, config_class: type[Any], context: int | None) -> int | None:
    """`trainer.max_length`, TRL's own where it is not set, or fewer where the model has fewer positions."""
    usual = next(item.default for item in fields(config_class) if item.name == "max_length")
    known = [stage.trainer.get("max_length", usual), context]
    return min((item for item in known if item is not None), default=None)
