"""Trial: an all-reduce and two steps of ZeRO-3 on a tiny model, held to what they must come to.

align/runtime/probe.py has every process of a group do them together.
"""

import copy
import hashlib
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from align.runtime import group
from align.runtime.processes import rank
from align.runtime.zero import ZeroEngine

FLOATS_PER_MIB = 2**20 // 4
VOCABULARY, LENGTH, ROWS = 64, 16, 4  # rows per process
STEPS = 2
SECTION = {"zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0}}  # nothing stays whole
TOLERANCE = {False: 1e-3, True: 5e-3}  # of the last loss, as a share, in fp32 and in bf16


class ProofError(RuntimeError):
    """The processes computed something, and it is wrong."""


def all_reduce(device: torch.device) -> dict[str, float]:
    """Sum a tensor over the processes and look at every element; then time it.

    Returns:
        `latency_seconds` of a single float, and the bandwidth of 1 and 64 MiB in GiB per second: the
        tensor's bytes over the time, which nccl-tests call algorithm bandwidth. Nothing for one process,
        which sends nothing.

    Raises:
        ProofError: a sum is wrong.
    """
    world = group.size()
    pattern = torch.arange(64 * FLOATS_PER_MIB, dtype=torch.float32, device=device) % 7  # sums stay exact
    summed = group.total(pattern * (rank() + 1))
    if wrong := int((summed != pattern * (world * (world + 1) / 2)).sum()):
        raise ProofError(f"{wrong} of {summed.numel()} sums over {world} processes are wrong")
    if world == 1:
        return {}
    return {
        "latency_seconds": _reduce_seconds(torch.zeros(1, device=device), 20),
        "gib_per_second_1_mib": 2**-10 / _reduce_seconds(torch.zeros(FLOATS_PER_MIB, device=device), 20),
        "gib_per_second_64_mib": 2**-4 / _reduce_seconds(torch.zeros(64 * FLOATS_PER_MIB, device=device), 5),
    }


def _reduce_seconds(values: Tensor, times: int) -> float:
    """Seconds of one all-reduce, on average."""
    dist.all_reduce(values)  # the first one of a size also sets up connections and buffers
    float(values[0])
    started = time.perf_counter()
    for _ in range(times):
        dist.all_reduce(values)
    float(values[0])  # GPUs work in the background: wait for the result
    return (time.perf_counter() - started) / times


class NextToken(nn.Module):
    """A tiny Llama of random weights, called for its loss."""

    def __init__(self) -> None:
        from transformers import LlamaConfig, LlamaForCausalLM  # noqa: PLC0415  (2 s that only this needs)

        super().__init__()
        config = LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
        )
        self.llama = LlamaForCausalLM(config)

    def forward(self, rows: Tensor) -> Tensor:
        """The mean loss per token of rows (B, T) of token ids."""
        loss: Tensor = self.llama(input_ids=rows, labels=rows).loss
        return loss


def zero3(device: torch.device, bf16: bool) -> dict[str, Any]:
    """Two steps of ZeRO-3, each process with rows of its own, and the same with all rows on one process.

    Returns:
        `losses` before each step and after the last, over all rows; `alone`, the last one as one process
        has it.

    Raises:
        ProofError: the loss is not finite or does not fall, processes hold different weights, or the
            last loss is not what one process comes to.
    """
    torch.manual_seed(0)
    module = NextToken().to(device)
    rows = torch.randint(VOCABULARY, (ROWS * group.size(), LENGTH)).to(device)
    own = rows[rank() * ROWS :][:ROWS]
    engine = ZeroEngine(copy.deepcopy(module), _adamw, SECTION, max_grad_norm=1.0, bf16=bf16)
    shares = []
    for _ in range(STEPS):
        with engine.microbatch(is_last=True):
            loss = engine(own) / group.size()
            engine.backward(loss)
        shares.append(loss.detach().float())
        engine.step(1.0)
    with engine.whole():
        shares.append(engine.ask(own).float() / group.size())
    losses = [float(group.total(share)) for share in shares]
    digests = group.everybodys([_digest(engine.weights())])
    alone = _loss_alone(module, rows)
    verify(losses, alone, digests, TOLERANCE[bf16])
    return {"losses": losses, "alone": alone}


def verify(losses: Sequence[float], alone: float, digests: Sequence[str], tolerance: float) -> None:
    """Hold what the processes computed to what it must be.

    Args:
        losses: before each step and after the last.
        alone: the last loss as one process has it.
        digests: of the gathered weights, one per process.
        tolerance: by what share of `alone` the last loss may be off.

    Raises:
        ProofError: it is not so.
    """
    if not all(map(math.isfinite, losses)) or any(b >= a for a, b in zip(losses, losses[1:], strict=False)):
        raise ProofError(f"the loss does not fall: {', '.join(f'{loss:.4f}' for loss in losses)}")
    if len(set(digests)) > 1:
        raise ProofError("the processes gathered different weights")
    if abs(losses[-1] - alone) > tolerance * alone:
        raise ProofError(f"the loss came to {losses[-1]:.4f}, with all rows on one process to {alone:.4f}")


def _loss_alone(module: nn.Module, rows: Tensor) -> float:
    """The loss that plain torch comes to in as many steps, in fp32 and without any other process."""
    optimizer = _adamw(list(module.parameters()))
    for _ in range(STEPS):
        optimizer.zero_grad()
        module(rows).backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    return float(module(rows).detach())


def _adamw(weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(weights, lr=1e-2)


def _digest(weights: dict[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(weights[name].float().cpu().numpy().tobytes())
    return found.hexdigest()
