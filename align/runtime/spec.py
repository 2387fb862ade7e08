"""What all stages that train have in common, as configuration. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from align.config.resources import Precision
from align.config.spec import LOGISTICS, REFERENCE_PREFIX, Int, PositiveInt, Spec
from align.data.spec import DataSpec
from align.models.spec import AdapterSpec


@dataclass(frozen=True, kw_only=True)
class GateSpec(Spec):
    """A finished stage, `stage:<name>`, must have measured at least `minimum` before this one starts.

    `metric` is named as in that stage's metrics.jsonl, `<split>/<metric>` where it is not of training; its
    last value counts.
    """

    of: str
    metric: str
    minimum: float

    def __post_init__(self) -> None:
        if not self.of.startswith(REFERENCE_PREFIX):
            raise ValueError(f"of: {self.of!r} names no stage; write {REFERENCE_PREFIX}<name>")

    @property
    def stage(self) -> str:
        """The name of the stage."""
        return self.of.removeprefix(REFERENCE_PREFIX)


@dataclass(frozen=True, kw_only=True)
class BatchSpec(Spec):
    """The fields every stage has that spreads a batch over all devices.

    `batch_size` is over all devices. `precision` is of the computation: trainable weights are fp32. `require`
    names gates, which decide whether the stage starts and never what it makes.
    """

    data: DataSpec
    adapter: AdapterSpec | None = None
    precision: Precision
    batch_size: PositiveInt
    seed: Int
    require: Annotated[Mapping[str, GateSpec], LOGISTICS] = field(default_factory=dict)
