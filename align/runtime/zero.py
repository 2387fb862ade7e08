"""ZeRO: DeepSpeed's engine behind the methods of ours.

Source  Rajbhandari et al. 2020, "ZeRO", arXiv:1910.02054
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from align.runtime import group
from align.runtime.engine import Engine, MakeOptimizer, Step
from align.runtime.lockstep import in_lockstep
from align.runtime.processes import rank
from align.runtime.universal import LATEST, load_universal
from align.runtime.unshard import trained_weights, unshard

TAG = "engine"


class ZeroEngine(Engine):
    """A module whose optimiser state, gradients and weights DeepSpeed spreads over the processes.

    `section` is DeepSpeed's own configuration; what follows from the stage is filled in. In bf16 the module
    itself becomes bf16, over fp32 weights that the optimiser keeps. Under stage 3 passes without gradients
    are made with all weights gathered, or, without `gather`, layer by layer: slower, for models that do not
    fit into one device's memory.
    """

    runs_beside_others = False  # its hooks know one forward pass at a time

    def __init__(
        self,
        module: nn.Module,
        optimizer: MakeOptimizer,
        section: Mapping[str, Any],
        *,
        max_grad_norm: float,
        bf16: bool = False,
        gather: bool = True,
    ) -> None:
        import deepspeed  # noqa: PLC0415  (1.3 s that only ZeRO needs)

        logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
        self._parameters = [weight for weight in module.parameters() if weight.requires_grad]
        self.device = self._parameters[0].device
        self._engine, self.optimizer, *_ = deepspeed.initialize(
            model=module,
            optimizer=optimizer(self._parameters),
            config=_config(section, max_grad_norm, bf16),
            dist_init_required=False,
        )
        self.module = self._engine.module
        self._put: dict[str, Tensor] = {}
        self.stage: int = self._engine.zero_optimization_stage()
        self._peaks = [entry["lr"] for entry in self.optimizer.param_groups]
        self._is_by_layer = self.stage == 3 and not gather
        if self.stage == 3:
            _know_borrowed_weights(module)

    @contextmanager
    def microbatch(self, *, is_last: bool) -> Iterator[None]:
        """Around the forward and backward pass of one microbatch; `is_last` says that `step` follows."""
        self._engine.set_gradient_accumulation_boundary(is_last)
        yield

    def __call__(self, *args: Any) -> Any:
        """The module's forward pass, to be differentiated; every process must make as many."""
        return self._engine(*args)

    @torch.no_grad()
    def ask(self, *args: Any) -> Any:
        """The module's forward pass, without gradients; under stage 3 inside of `asking` alone.

        One hook that `whole` cannot take off sits on the module's call, and waits for the other processes.
        """
        return self.module(*args) if self._is_by_layer else self.module.forward(*args)

    def asking(self, *cheapest: Any) -> AbstractContextManager[None]:
        """Where `ask` may be called, by each process as often as it likes; `cheapest` is the least to ask."""
        return self._together(self.module, lambda: self.module(*cheapest))

    def sampling(self, model: nn.Module, idle: Callable[[], None]) -> AbstractContextManager[None]:
        """Where a model inside of the module may be called likewise; `idle` makes its cheapest pass."""
        return self._together(model, idle)

    def _together(self, called: nn.Module, idle: Callable[[], object]) -> AbstractContextManager[None]:
        return in_lockstep(called, idle, self.device) if self._is_by_layer else self.whole()

    def backward(self, loss: Tensor) -> None:
        """Add a microbatch's gradient; `loss` is a share of the batch's loss over all processes."""
        self._engine.backward(loss * group.size(), scale_wrt_gas=False)  # it averages over processes

    def computing(self) -> AbstractContextManager[Any]:
        """Nothing: the module's weights are in the precision it computes in."""
        return nullcontext()

    def step(self, learning_rate_share: float) -> Step:
        """Clip, update the weights at a share of the peak learning rate, and clear the gradient."""
        for entry, peak in zip(self.optimizer.param_groups, self._peaks, strict=True):
            entry["lr"] = peak * learning_rate_share
        if self.stage == 0:  # alone it neither tells the norm nor leaves out a step
            gradients = [weight.grad for weight in self._parameters if weight.grad is not None]
            norm = float(nn.utils.get_total_norm(gradients))
            if not math.isfinite(norm):
                self._engine.zero_grad()
                return Step(norm, False)
            self._engine.step()
            return Step(norm, True)
        self._engine.step()
        return Step(float(self._engine.get_global_grad_norm()), self._engine.was_step_applied())

    @contextmanager
    def whole(self) -> Iterator[None]:
        """All weights on every process, and no hooks: passes inside need no other process."""
        if self.stage < 3:
            yield
            return
        from deepspeed import zero  # noqa: PLC0415
        from trl.models.utils import add_hooks, remove_hooks  # noqa: PLC0415

        with zero.GatheredParameters(list(self.module.parameters())):
            remove_hooks(self._engine)
            try:
                yield
            finally:
                add_hooks(self._engine)

    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights that are trained, by name: the optimiser's fp32 ones."""
        return trained_weights(self._engine)

    def release(self) -> None:
        """Give the first process the module with whole fp32 weights; training ends with that."""
        unshard(self._engine)
        if rank() == 0:
            self._copy(dict(self.module.named_parameters()), self._put)

    def put(self, weights: Mapping[str, Tensor]) -> None:
        """Give the module weights that `weights` returned; its training ends with that."""
        self._put = dict(weights)  # the optimiser's own stay what they were
        named = dict(self.module.named_parameters())
        with self._changing([named[name] for name in weights]):
            self._copy(named, weights)

    def _changing(self, weights: list[nn.Parameter]) -> AbstractContextManager[Any]:
        if self.stage < 3:
            return nullcontext()
        from deepspeed import zero  # noqa: PLC0415

        gathered: AbstractContextManager[Any] = zero.GatheredParameters(weights, modifier_rank=0)
        return gathered

    def save(self, folder: Path) -> None:
        """Write what training goes on from; every process writes its share."""
        self._engine.save_checkpoint(str(folder), tag=TAG)

    def load(self, folder: Path) -> None:
        """Go back to what `save` wrote: the same stage on as many processes, or what was converted of it."""
        if (folder / LATEST).exists():
            load_universal(self._engine, folder, TAG)
        else:
            self._engine.load_checkpoint(str(folder), tag=TAG)


class FrozenLayers:
    """A module that is not trained, whose weights passes fetch layer by layer from all processes."""

    def __init__(self, module: nn.Module, bf16: bool, *cheapest: Any) -> None:
        import deepspeed  # noqa: PLC0415

        self._module = module
        self._cheapest = cheapest
        section = {"zero_optimization": {"stage": 3}}
        self._engine, *_ = deepspeed.initialize(
            model=module, config=_config(section, 0.0, bf16), dist_init_required=False
        )
        _know_borrowed_weights(module)

    def asking(self) -> AbstractContextManager[None]:
        """Where the module may be called, by each process as often as it likes."""
        device = self._cheapest[0].device
        return in_lockstep(self._module, lambda: self._module(*self._cheapest), device)


def _know_borrowed_weights(module: nn.Module) -> None:
    from deepspeed import zero  # noqa: PLC0415

    for weight in getattr(module, "borrowed_weights", list)():
        zero.register_external_parameter(module, weight)


def gathered(frozen: nn.Module) -> AbstractContextManager[Any]:
    """All weights of a module that is not trained; before and after they are spread over the processes.

    Every process must enter and leave; in between, passes need no other one.
    """
    from deepspeed import zero  # noqa: PLC0415

    weights = list(frozen.parameters())
    if not hasattr(weights[0], "ds_id"):
        section = {"train_micro_batch_size_per_gpu": 1, "zero_optimization": {"stage": 3}}
        zero.Init(module=frozen, config_dict_or_path=section)
    together: AbstractContextManager[Any] = zero.GatheredParameters(weights)
    return together


def _config(section: Mapping[str, Any], max_grad_norm: float, bf16: bool) -> dict[str, Any]:
    """DeepSpeed's configuration of one engine: the section, and what the stage decides."""
    ours = {
        "train_micro_batch_size_per_gpu": 1,  # it cuts no batches here
        "gradient_accumulation_steps": 1,  # nor counts them
        "gradient_clipping": max_grad_norm,
        "bf16": {"enabled": bf16, "check_grad_overflow": True},
        "zero_allow_untested_optimizer": True,
    }
    kept = {name: value for name, value in section.items() if value != "auto" and name != "train_batch_size"}
    return {"zero_force_ds_cpu_optimizer": False, **kept, **ours}
