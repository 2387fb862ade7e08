"""Engine: a module with its optimiser, alone or under DDP: forward, backward, one step per batch.

`ZeroEngine` has the same methods under DeepSpeed.

The gradient of a step is that of the sum of all losses given to `backward`, on all processes; it is clipped
as a whole, and a step with a gradient that is not finite is left out everywhere.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from align.runtime import group
from align.runtime.processes import rank

STATE = "state.pt"
MakeOptimizer = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


@dataclass(frozen=True)
class Step:
    """What one optimiser step did: the gradient's norm before clipping, and whether it was taken."""

    grad_norm: float
    taken: bool


class Engine:
    """A module that is trained. Call the engine as the module; it computes in bf16 where `bf16` says so."""

    runs_beside_others = True  # whether another engine may learn at the same time, in another thread

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

    def computing(self) -> AbstractContextManager[Any]:
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

    def whole(self) -> AbstractContextManager[None]:
        """Where passes need no other process; all weights are on every one."""
        return nullcontext()

    def asking(self, *cheapest: Any) -> AbstractContextManager[None]:
        """Where `ask` may be called, by each process as often as it likes; `cheapest` is the least to ask."""
        return self.whole()

    def sampling(self, model: nn.Module, idle: Callable[[], None]) -> AbstractContextManager[None]:
        """Where a model inside of the module may be called likewise; `idle` makes its cheapest pass."""
        return self.whole()

    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights that are trained, by name."""
        with self.whole():
            return {name: weight.clone() for name, weight in self._trained().items()}

    def put(self, weights: Mapping[str, Tensor]) -> None:
        """Give the module weights that `weights` returned."""
        self._copy(dict(self.module.named_parameters()), weights)

    def release(self) -> None:
        """Leave the module as it can be saved; training ends with that."""

    @staticmethod
    @torch.no_grad()
    def _copy(named: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
        for name, value in weights.items():
            named[name].copy_(value)

    def save(self, folder: Path) -> None:
        """Write what training goes on from: trained weights and optimiser state."""
        if rank() == 0:
            state = {"weights": self._trained(), "optimizer": self.optimizer.state_dict()}
            folder.mkdir(exist_ok=True)
            torch.save(state, folder / STATE)

    def load(self, folder: Path) -> None:
        """Go back to what `save` wrote.

        Raises:
            ValueError: that was another model.
        """
        state = torch.load(folder / STATE, weights_only=True, map_location=self.device)
        missing, unexpected = self.module.load_state_dict(state["weights"], strict=False)
        if unexpected or self._trained().keys() & set(missing):
            raise ValueError(f"the checkpoint is of another model: {[*unexpected, *missing][:3]}")
        self.optimizer.load_state_dict(state["optimizer"])

    def _trained(self) -> dict[str, Tensor]:
        named = self.module.named_parameters()
        return {name: weight.detach() for name, weight in named if weight.requires_grad}
