"""Engine: a module with its optimiser, alone or under DDP: forward, backward, one step per batch.

The gradient of a step is that of the sum of all losses given to `backward`, on all processes; it is clipped
as a whole, and a step with a gradient that is not finite is left out everywhere.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from align.runtime import group

MakeOptimizer = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


@dataclass(frozen=True)
class Step:
    """What one optimiser step did: the gradient's norm before clipping, and whether it was taken."""

    grad_norm: float
    taken: bool


class Engine:
    """A module that is trained. Call the engine as the module; it computes in bf16 where `bf16` says so."""

    def __init__(
        self, module: nn.Module, optimizer: MakeOptimizer, *, max_grad_norm: float, bf16: bool = False
    ) -> None:
        self.module = module
        self._parameters = [weight for weight in module.parameters() if weight.requires_grad]
        self.optimizer = optimizer(self._parameters)
        self._peaks = [entry["lr"] for entry in self.optimizer.param_groups]
        self._max_grad_norm = max_grad_norm
        self._bf16 = bf16
        self.device = self._parameters[0].device
        self._wrapped = DistributedDataParallel(module) if group.size() > 1 else module

    @contextmanager
    def microbatch(self, *, is_last: bool) -> Iterator[None]:
        """Around the forward and backward pass of one microbatch; `is_last` says that `step` follows."""
        wrapped = self._wrapped
        waits = isinstance(wrapped, DistributedDataParallel) and not is_last
        with wrapped.no_sync() if waits else nullcontext():  # type: ignore[operator]
            yield

    def __call__(self, *args: Any) -> Any:
        """The module's forward pass, to be differentiated."""
        with self.computing():
            return self._wrapped(*args)

    @torch.no_grad()
    def ask(self, *args: Any) -> Any:
        """The module's forward pass, without gradients and on this process alone."""
        with self.computing():
            return self.module(*args)

    def backward(self, loss: Tensor) -> None:
        """Add a microbatch's gradient; `loss` is a share of the batch's loss over all processes."""
        (loss * group.size()).backward()  # DDP averages over processes

    def computing(self) -> torch.autocast:
        """The precision that the module computes in."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16)

    def step(self, learning_rate_share: float) -> Step:
        """Clip, update the weights at a share of the peak learning rate, and clear the gradient."""
        for entry, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
            entry["lr"] = peak * learning_rate_share
        norm = nn.utils.clip_grad_norm_(self._parameters, self._max_grad_norm)
        is_finite = bool(torch.isfinite(norm))  # gradients are alike on all processes, so is this
        if is_finite:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return Step(float(norm), is_finite)

    def state(self) -> dict[str, Any]:
        """Trained weights and optimiser state."""
        trained = {name: weight for name, weight in self.module.named_parameters() if weight.requires_grad}
        return {"weights": trained, "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned."""
        missing, unexpected = self.module.load_state_dict(state["weights"], strict=False)
        trained = {name for name, weight in self.module.named_parameters() if weight.requires_grad}
        if unexpected or trained & set(missing):
            raise ValueError(f"the checkpoint is of another model: {[*unexpected, *missing][:3]}")
        self.optimizer.load_state_dict(state["optimizer"])
