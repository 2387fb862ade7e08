"""Machine: what this host offers, as far as it shows without torch."""

import os
import platform
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from align.config.secret import MASK, is_secret

REQUIRED = ("torch", "transformers", "trl", "peft", "datasets", "deepspeed", "hydra-core", "accelerate")
OPTIONAL = (
    "bitsandbytes", "flash_attn", "liger_kernel", "vllm", "wandb", "trackio", "swanlab", "tensorboard",
)  # fmt: skip
COMPILERS = ("g++", "ninja", "nvcc")
VARIABLES = re.compile(
    r"(ALIGN|HF|NCCL|GLOO|SLURM_JOB|WANDB|TRACKIO)_\w+|SLURM_(NNODES|NTASKS|NODEID|PROCID|GPUS_ON_NODE)"
    r"|MASTER_(ADDR|PORT)|RANK|LOCAL_RANK|WORLD_SIZE|(OMP|MKL)_NUM_THREADS|TRANSFORMERS_OFFLINE"
    r"|CUDA_(VISIBLE_DEVICES|HOME)|DS_ACCELERATOR|PYTORCH_(CUDA_)?ALLOC_CONF|TORCH_(EXTENSIONS_DIR|NCCL_\w+)"
    r"|XDG_CACHE_HOME|TMPDIR|CC|CXX"
)
CREDENTIALS_IN_URL = re.compile(r"(?<=//)[^/@\s]+(?=@)")
GIB = 2**30


@dataclass(frozen=True)
class Disk:
    """The file system that a folder lies on, or will lie on."""

    path: str
    free_gib: float


@dataclass(frozen=True)
class Lock:
    """A file that keeps every process from loading one compiled operator until it is gone."""

    path: str
    age_seconds: float


@dataclass(frozen=True)
class Machine:
    """What this process may use. None means that there is none, or no limit.

    `cores` counts what the affinity mask and the control group's quota allow; `memory_gib` is the control
    group's limit where that is below the host's; `gpus` are those of the driver, whatever torch sees.
    """

    host: str
    system: str
    python: str
    packages: dict[str, str | None]
    optional: dict[str, str | None]
    compilers: dict[str, str | None]
    cores: float
    host_cores: int
    memory_gib: float
    host_memory_gib: float
    free_memory_gib: float
    gpus: tuple[str, ...]
    driver: str | None
    disks: dict[str, Disk]
    shm_gib: float | None
    open_files: int | None
    interfaces: tuple[str, ...]
    environment: dict[str, str]
    locks: tuple[Lock, ...]


def look_around(outputs: Path) -> Machine:
    """Gather what is to be known; `outputs` is the folder that runs will write to."""
    memory = _memory()
    limit = memory_limit()
    gpus, driver = _installed_gpus()
    shm = Path("/dev/shm")
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(
        host=socket.gethostname(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_version()} ({sys.executable})",
        packages={name: _version(name) for name in REQUIRED},
        optional={name: _version(name) for name in OPTIONAL},
        compilers={name: _compiler(name) for name in COMPILERS},
        cores=min(len(os.sched_getaffinity(0)), core_quota()),
        host_cores=os.cpu_count() or 1,
        memory_gib=min(memory["MemTotal"], limit) / GIB,
        host_memory_gib=memory["MemTotal"] / GIB,
        free_memory_gib=min(memory["MemAvailable"], limit) / GIB,
        gpus=gpus,
        driver=driver,
        disks={name: _disk(path) for name, path in _written_folders(outputs).items()},
        shm_gib=shutil.disk_usage(shm).total / GIB if shm.is_dir() else None,
        open_files=None if files == resource.RLIM_INFINITY else files,
        interfaces=tuple(_interfaces_up()),
        environment=shown_environment(dict(os.environ)),
        locks=tuple(extension_locks()),
    )


def shown_environment(variables: dict[str, str]) -> dict[str, str]:
    """The variables that matter to training, without any credential that they hold."""
    return {
        name: MASK if is_secret(name) else CREDENTIALS_IN_URL.sub(MASK, value)
        for name, value in sorted(variables.items())
        if VARIABLES.fullmatch(name)
    }


def extension_locks() -> Iterator[Lock]:
    """Locks in the folder where torch puts what it compiles; no process says whether it still holds one."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or cache / "torch_extensions")
    for path in sorted([*folder.glob("*/lock"), *folder.glob("*/*/lock")]):
        with suppress(FileNotFoundError):  # released just now
            yield Lock(str(path), time.time() - path.stat().st_mtime)


def memory_limit(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float:
    """Bytes that the control group, or one around it, lets its processes have."""
    limits = [
        int(text)
        for folder in _control_groups("memory", root, own)
        for name in ("memory.max", "memory.limit_in_bytes")
        if (text := _read(folder / name)).isdigit()
    ]
    return min(limits, default=float("inf"))


def core_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float:
    """Cores' worth of time that the control group, or one around it, lets its processes have."""
    quotas = []
    for folder in _control_groups("cpu", root, own):
        old = f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}"
        quota, _, period = (_read(folder / "cpu.max") or old).partition(" ")
        if quota.isdigit() and period.isdigit():  # else "max" or -1: no quota
            quotas.append(int(quota) / int(period))
    return min(quotas, default=float("inf"))


def _control_groups(controller: str, root: Path, own: Path) -> Iterator[Path]:
    """The folder of this process's group and of all around it, in version 1 (one tree each) and in 2."""
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controller if controllers else root
        folder = top / path.lstrip("/")
        yield from (place for place in (folder, *folder.parents) if place == top or top in place.parents)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _interfaces_up() -> Iterator[str]:
    """The network interfaces that are switched on."""
    for _, name in socket.if_nameindex():
        if int(_read(Path("/sys/class/net", name, "flags")) or "0x1", 16) & 1:
            yield name


def _memory() -> dict[str, int]:
    """Bytes, by the names of /proc/meminfo."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {words[0].removesuffix(":"): int(words[1]) * 1024 for words in lines if words[-1] == "kB"}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _compiler(name: str) -> str | None:
    in_toolkit = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"), "bin", name)
    found = shutil.which(name)
    return found or (str(in_toolkit) if name == "nvcc" and in_toolkit.is_file() else None)


def _installed_gpus() -> tuple[tuple[str, ...], str | None]:
    """Names of the NVIDIA GPUs and the driver's version, as its own tool tells."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return (), None
    rows = [line.rsplit(", ", 1) for line in found.splitlines() if ", " in line]
    return tuple(name for name, _ in rows), rows[0][1] if rows else None


def _written_folders(outputs: Path) -> dict[str, Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(os.environ.get("HF_HOME") or cache / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    return {"outputs": outputs, "Hugging Face cache": hub, "temporary files": Path(tempfile.gettempdir())}


def _disk(path: Path) -> Disk:
    absolute = path.expanduser().absolute()
    existing = next(place for place in (absolute, *absolute.parents) if place.exists())
    return Disk(str(absolute), shutil.disk_usage(existing).free / GIB)
