"""Offload: whether this machine can keep on a drive what a section of DeepSpeed's puts there."""

import os
from collections.abc import Iterator
from pathlib import Path

from align.config.deepspeed_section import nvme_paths
from align.config.resources import Parallel


def offload_problems(parallel: Parallel | None) -> Iterator[str]:
    """What would stop training, as `parallel.deepspeed.<key>: problem`; asked before anything is loaded."""
    paths = nvme_paths(parallel.deepspeed or {}) if parallel else {}
    for key, path in paths.items():
        if not os.access(path, os.W_OK) or not Path(path).is_dir():
            yield f"parallel.deepspeed.{key}: {path} is no folder that can be written to; set ALIGN_NVME"
    if paths and not _can_build_async_io():
        yield (
            "parallel.deepspeed.zero_optimization: nvme needs DeepSpeed's async_io, which cannot be built "
            "here; install libaio (Debian: apt-get install libaio-dev) and a C++ compiler, or choose "
            "parallel=zero3_offload"
        )


def _can_build_async_io() -> bool:
    from deepspeed.ops.op_builder import AsyncIOBuilder  # noqa: PLC0415  (1.3 s that only a drive needs)

    return bool(AsyncIOBuilder().is_compatible(verbose=False))
