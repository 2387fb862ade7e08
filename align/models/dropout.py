"""Dropout: switched off for good, wherever a model keeps its rates.

Setting modules to evaluation mode is not enough where activations are checkpointed, which needs training
mode; and attention reads its rate from an attribute, not from a module.
"""

import re

from torch import nn

_RATE = re.compile(r"drop|jitter")


def disable_dropout(model: nn.Module) -> None:
    """Set every dropout rate of a model to zero: modules, their float attributes, and its configuration."""
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        _zero_rates(module)
    _zero_rates(getattr(model, "config", None))


def _zero_rates(holder: object) -> None:
    for name, value in list(vars(holder).items()) if holder is not None else []:
        if isinstance(value, float) and _RATE.search(name):
            setattr(holder, name, 0.0)
