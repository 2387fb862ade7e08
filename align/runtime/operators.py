"""Operators: which of DeepSpeed's compiled ones are there or could be; nothing is compiled to find out."""

import os
import shutil
import sys
from pathlib import Path

import torch

# Those that a `parallel` config can come to use: optimisers on the device and on the host, NVMe offload, and
# collectives in shared memory, which a run on the CPU switches off (align/runtime/processes.py).
OPERATORS = ("fused_adam", "cpu_adam", "async_io", "deepspeed_shm_comm")


def operator_states() -> dict[str, str]:
    """For every operator `installed`, `built`, `can be built`, `lacks ...` or `not for this accelerator`."""
    from deepspeed.git_version_info import installed_ops  # noqa: PLC0415  (1.3 s, and it looks for devices)
    from deepspeed.ops.op_builder.all_ops import ALL_OPS  # noqa: PLC0415

    states = {}
    for name in OPERATORS:
        if installed_ops.get(name):
            states[name] = "installed"
        elif name not in ALL_OPS:
            states[name] = "not for this accelerator"
        elif (_extensions() / name / f"{name}.so").is_file():
            states[name] = "built"
        else:
            lacking = _lacking(name)
            states[name] = f"lacks {', '.join(lacking)}" if lacking else "can be built"
    return states


def _extensions() -> Path:
    """Where torch puts what it compiles at first use; asking torch itself would create the folder."""
    from torch.utils.cpp_extension import get_default_build_root  # noqa: PLC0415  (it looks for compilers)

    if named := os.environ.get("TORCH_EXTENSIONS_DIR"):
        return Path(named)
    device = f"cu{torch.version.cuda.replace('.', '')}" if torch.version.cuda else "cpu"
    return Path(get_default_build_root()) / f"py{sys.version_info.major}{sys.version_info.minor}_{device}"


def _lacking(name: str) -> list[str]:
    """What a compilation would miss. DeepSpeed's own test for libaio compiles a program, so ours looks."""
    from torch.utils.cpp_extension import CUDA_HOME  # noqa: PLC0415

    lacking = [tool for tool in (os.environ.get("CXX", "g++"), "ninja") if shutil.which(tool) is None]
    if torch.version.cuda and name != "deepspeed_shm_comm" and CUDA_HOME is None:
        lacking.append("nvcc (CUDA_HOME)")
    if name == "async_io" and not any((folder / "libaio.h").is_file() for folder in _header_folders()):
        lacking.append("libaio.h (libaio-dev)")
    return lacking


def _header_folders() -> list[Path]:
    named = ":".join(os.environ.get(name, "") for name in ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH"))
    flags = [word[2:] for word in os.environ.get("CFLAGS", "").split() if word.startswith("-I")]
    places = [*named.split(":"), *flags, f"{sys.prefix}/include", "/usr/include", "/usr/local/include"]
    return [Path(place) for place in places if place]
