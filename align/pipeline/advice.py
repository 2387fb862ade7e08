"""Advice: what will go wrong on a machine later, or just went wrong, and what to do about it."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from align.pipeline.machine import Machine
from align.pipeline.proof import HUNG, KILLED, LIBRARIES, Proof

FREE_DISK_GIB = 20
SHM_GIB = 1
OPEN_FILES = 1024


@dataclass(frozen=True)
class Advice:
    """A problem that is not there yet, and its remedy."""

    problem: str
    remedy: str


def warnings(machine: Machine, torch: Mapping[str, Any], ranks: int) -> list[Advice]:
    """What to put right before a long run.

    Args:
        machine: what shows without torch.
        torch: what torch found; empty where it could not be asked.
        ranks: how many processes are to share the machine.
    """
    found = [*_storage(machine), *_processor(machine, ranks)]
    return [*found, *_torch(machine, torch)] if torch else found


def _storage(machine: Machine) -> Iterator[Advice]:
    for name, disk in machine.disks.items():
        if disk.free_gib < FREE_DISK_GIB:
            setting = {
                "outputs": "paths.outputs=/large/disk (a checkpoint takes 14 GB per billion parameters)",
                "Hugging Face cache": "HF_HOME=/large/disk",
                "temporary files": "TMPDIR=/large/disk",
            }[name]
            problem = f"{disk.free_gib:.1f} GiB are free for {name} ({disk.path})"
            yield Advice(problem, f"make room, or set {setting}")
    for lock in machine.locks:
        problem = (
            f"{lock.path} is {_age(lock.age_seconds)} old: whatever needs that operator waits for it for ever"
        )
        remedy = "a compilation that was killed leaves it behind; if none is under way, remove it: rm "
        yield Advice(problem, remedy + lock.path)
    if machine.open_files is not None and machine.open_files < OPEN_FILES:
        yield Advice(f"a process may open {machine.open_files} files", "ulimit -n 65536")
    if len(machine.gpus) > 1 and machine.shm_gib is not None and machine.shm_gib < SHM_GIB:
        problem = (
            f"/dev/shm has {machine.shm_gib * 1024:.0f} MiB, and NCCL and data workers share memory there"
        )
        yield Advice(
            problem, "docker run --shm-size=16g (or --ipc=host), or NCCL_SHM_DISABLE=1, which is slower"
        )


def _processor(machine: Machine, ranks: int) -> Iterator[Advice]:
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit() and int(threads) * ranks > machine.cores:
        problem = (
            f"OMP_NUM_THREADS={threads} × {ranks} processes are more threads than {machine.cores:g} cores"
        )
        fitting = max(1, int(machine.cores // ranks))
        remedy = f"OMP_NUM_THREADS={fitting}, or leave it unset: the launcher divides the cores"
        yield Advice(problem, remedy if int(threads) > 1 else "fewer processes")


def _torch(machine: Machine, torch: Mapping[str, Any]) -> Iterator[Advice]:
    is_cpu = torch["accelerator"] == "cpu"
    if machine.gpus and torch["cuda"] is None:
        problem = (
            f"there are {len(machine.gpus)} GPUs, and torch {machine.packages['torch']} is built without CUDA"
        )
        yield Advice(
            problem, "install the torch build for the driver: https://pytorch.org/get-started/locally"
        )
    elif machine.gpus and is_cpu:
        problem = f"there are {len(machine.gpus)} GPUs, and torch sees none (driver {machine.driver})"
        needed = f"a driver for CUDA {torch['cuda']} or a torch build for this one"
        yield Advice(problem, f"CUDA_VISIBLE_DEVICES must not be empty; else install {needed}")
    if not torch["bf16"] and is_cpu:
        problem = "this processor has no bf16 instructions: bf16 would be emulated, and slow"
        yield Advice(problem, "leave hardware.precision=auto, which takes fp32 here")
    elif not torch["bf16"]:
        yield Advice("these GPUs have no bf16 in hardware", "set hardware.precision=fp32")


def with_remedy(proof: Proof, accelerator: str, machine: Machine) -> Proof:
    """The proof, with what to try where it failed."""
    return replace(proof, remedy=_remedy(proof, accelerator, machine)) if proof.state == "failed" else proof


def _remedy(proof: Proof, accelerator: str, machine: Machine) -> str:
    problem = proof.problem or ""
    if KILLED in problem:
        return "free memory, or start fewer with --ranks; dmesg tells what the kernel killed"
    if proof.name in (LIBRARIES, "start") and problem.startswith(HUNG):
        return "a slow disk reads faster the second time: try again, or with a longer --timeout"
    if proof.name in (LIBRARIES, "start"):
        cuda = "where it speaks of CUDA_HOME, install the CUDA toolkit of torch's version"
        return f"pip install -c constraints.txt -e . here; remove optional packages that fail; {cuda}"
    if proof.name.startswith("ZeRO"):
        return "see the log; the packages must be those of constraints.txt, and memory must be free"
    if accelerator == "cuda":
        return "NCCL_DEBUG=INFO says more; try NCCL_P2P_DISABLE=1 or NCCL_SHM_DISABLE=1"
    return f"name the network interface: GLOO_SOCKET_IFNAME={' or '.join(machine.interfaces) or 'lo'}"


def _age(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
