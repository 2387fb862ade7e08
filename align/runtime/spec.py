"""What all stages that train have in common, as configuration. Torch-free."""

from dataclasses import dataclass

from align.config.resources import Precision
from align.config.spec import Int, PositiveInt, Spec
from align.data.spec import DataSpec
from align.models.spec import AdapterSpec


@dataclass(frozen=True, kw_only=True)
class BatchSpec(Spec):
    """The fields every stage has that spreads a batch over all devices.

    `batch_size` is over all devices. `precision` is of the computation: trainable weights are fp32.
    """

    data: DataSpec
    adapter: AdapterSpec | None = None
    precision: Precision
    batch_size: PositiveInt
    seed: Int
