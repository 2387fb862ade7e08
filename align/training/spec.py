"""What the training stages have in common, as configuration. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from align.config.passthrough import checked_fields, defaults_digest, field_table
from align.config.spec import Bool, PositiveInt, Spec
from align.runtime.spec import BatchSpec
from align.training.arguments import MACHINE, OWNED

SftTrainer = Annotated[Mapping[str, Any], checked_fields("trl.SFTConfig", owned=OWNED, machine=MACHINE)]
RewardTrainer = Annotated[Mapping[str, Any], checked_fields("trl.RewardConfig", owned=OWNED, machine=MACHINE)]
DpoTrainer = Annotated[Mapping[str, Any], checked_fields("trl.DPOConfig", owned=OWNED, machine=MACHINE)]


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
class TrainingSpec(BatchSpec):
    """The fields every stage on TRL's trainers has.

    `batch_size` is rows (pairs) per optimiser step. `trainer` holds fields of the TRL class named by
    `trainer_class`, minus those that have a key of their own (`align.training.arguments.OWNED`) and those of
    the machine (`MACHINE`).
    """

    trainer_class: ClassVar[str]

    selection: SelectionSpec | None = None
    trainer: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.selection is not None and not self.data.held_out:
            raise ValueError(
                "selection needs a held-out split: set data.held_out (corpus.<name>.held_out) above 0"
            )

    @property
    def row_tokens(self) -> int | None:
        """The most tokens a row may have, where that is known."""
        return self.trainer.get("max_length")

    def identity_extra(self) -> Mapping[str, Any]:
        """A digest of the values TRL gives the fields left out: an upgrade may change what they mean."""
        table = field_table(self.trainer_class)
        left_out = set(table) - set(OWNED) - MACHINE - set(self.trainer)
        return {"trainer_defaults": defaults_digest(table, left_out)}
