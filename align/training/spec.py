"""What the training stages have in common, as configuration. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from align.config.resources import Precision
from align.config.spec import Bool, Int, PositiveInt, Spec
from align.data.spec import DataSpec
from align.models.spec import AdapterSpec


@dataclass(frozen=True, kw_only=True)
class SelectionSpec(Spec):
    """Which step's weights are kept, judged on the held-out split.

    Evaluates every `eval_every` optimiser steps. `metric` is named as in metrics.jsonl. `best` keeps the
    weights of the best evaluation instead of the last step's; `patience` stops after that many evaluations
    without improvement.
    """

    eval_every: PositiveInt
    metric: str
    mode: Literal["min", "max"]
    best: Bool = True
    patience: PositiveInt | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingSpec(Spec):
    """The fields every stage on TRL's trainers has.

    `batch_size` is rows (pairs) per optimiser step over all devices. `precision` is of the computation:
    trainable weights are fp32. `trainer` holds fields of the TRL class named by `trainer_class`, minus those
    that have a key of their own (`align.training.arguments.OWNED`) and those of the machine (`MACHINE`).
    """

    trainer_class: ClassVar[str]

    data: DataSpec
    adapter: AdapterSpec | None = None
    precision: Precision
    batch_size: PositiveInt
    seed: Int
    selection: SelectionSpec | None = None
    trainer: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.selection is not None and not self.data.held_out:
            raise ValueError(
                "selection needs a held-out split: set data.held_out (corpus.<name>.held_out) above 0"
            )
