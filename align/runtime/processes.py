"""Processes: the state every training process starts a stage from, alone or as a rank of a group."""

import ctypes
import gc
import os
import random
import signal
from datetime import timedelta
from functools import partial

import numpy
import torch
import torch.distributed
from accelerate.state import AcceleratorState, GradientState
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when process `parent`, which started it, ends for whatever reason.

    Call it from the main thread. Without it a killed pipeline would leave orphans that go on writing.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before the line above
        os.kill(os.getpid(), signal.SIGKILL)


def leave_stopping_to_parent() -> None:
    """Stay when a scheduler signals every process of a run to stop: the parent hears it and asks in order.

    Children of this process, such as a pool's, can be ended by these signals as always.
    """
    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
        os.register_at_fork(after_in_child=partial(signal.signal, number, signal.SIG_DFL))


def rank() -> int:
    """This process's number among those of the stage, 0 when it is the only one."""
    return int(os.environ.get("RANK", "0"))


def missing_devices(accelerator: str, devices: int) -> int:
    """How many of the devices that a run counts on this host does not show."""
    return max(0, devices - torch.cuda.device_count()) if accelerator == "cuda" else 0


def join_group(accelerator: str, timeout_minutes: float = 10.0) -> None:
    """Join the process group that the launcher's environment describes; does nothing for a lone process.

    A process that waits for another one longer than the timeout fails.

    It must come before TrainingArguments: accelerate leaves the CPU backend unset under DeepSpeed, and then
    every rank believes it is alone and reads the same batches.
    """
    if "WORLD_SIZE" not in os.environ or torch.distributed.is_initialized():
        return
    import deepspeed.ops  # noqa: PLC0415  (1.3 s that a lone process does not need)
    from deepspeed import init_distributed  # noqa: PLC0415

    timeout = timedelta(minutes=timeout_minutes)
    if accelerator == "cpu":
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = (
            False  # else a 75 s compilation, and a compiler
        )
        init_distributed("gloo", verbose=False, timeout=timeout)
    else:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        init_distributed("nccl", verbose=False, timeout=timeout)


def leave_group() -> None:
    """Leave the process group, where there is one."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def assert_world(processes: int) -> None:
    """Fail when a library counts other processes than the group has.

    Raises:
        RuntimeError: `processes`, as the trainer sees it, is not the size of the process group.
    """
    world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    if processes != world:
        raise RuntimeError(f"the trainer counts {processes} processes, the process group has {world}")


def start_afresh(seed: int) -> None:
    """Bring the process to the state a new one starts a stage from: nothing left over, seeded generators."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    unset_hf_deepspeed_config()  # type: ignore[no-untyped-call]
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
