"""What a host offers, held against other sources; what is nobody's business stays unsaid."""

import importlib.metadata
import os
import shutil
import socket
import time
from pathlib import Path

import psutil
import pytest

from align.pipeline.machine import (
    REQUIRED,
    core_quota,
    extension_locks,
    look_around,
    memory_limit,
    shown_environment,
)


def test_the_facts_are_those_of_other_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    machine = look_around(tmp_path / "not" / "yet")
    assert machine.host == socket.gethostname()
    assert machine.host_cores == os.cpu_count()
    assert 0 < machine.cores <= len(os.sched_getaffinity(0))
    assert machine.host_memory_gib == pytest.approx(psutil.virtual_memory().total / 2**30)
    assert 0 < machine.free_memory_gib <= machine.memory_gib <= machine.host_memory_gib
    assert machine.packages == {name: importlib.metadata.version(name) for name in REQUIRED}
    assert machine.disks["outputs"].path == str(tmp_path / "not" / "yet")
    assert machine.disks["Hugging Face cache"].path == str(tmp_path / "hub")
    assert machine.disks["outputs"].free_gib == pytest.approx(shutil.disk_usage(tmp_path).free / 2**30, abs=1)
    assert machine.compilers["g++"] == shutil.which("g++")
    assert "lo" in machine.interfaces
    assert not (tmp_path / "not").exists()


def test_an_affinity_mask_counts(tmp_path: Path) -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert look_around(tmp_path).cores <= 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_no_credential_is_shown() -> None:
    shown = shown_environment(
        {
            "HF_TOKEN": "hf_abc",
            "WANDB_API_KEY": "abc",
            "HF_ENDPOINT": "https://me:abc@mirror.example/hf",
            "NCCL_DEBUG": "INFO",
            "SLURM_JOB_ID": "7",
            "ALIGN_DATA": "/data",
            "MY_OWN": "abc",
        }
    )
    assert "abc" not in str(shown)
    assert shown["HF_TOKEN"] == shown["WANDB_API_KEY"] == "***"
    assert shown["HF_ENDPOINT"] == "https://***@mirror.example/hf"
    assert (shown["NCCL_DEBUG"], shown["SLURM_JOB_ID"], shown["ALIGN_DATA"]) == ("INFO", "7", "/data")
    assert "MY_OWN" not in shown


@pytest.mark.parametrize("inside", ["", "py311_cpu/"])
def test_locks_are_found_with_their_age(inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    assert not list(extension_locks())
    lock = tmp_path / inside / "fused_adam" / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    os.utime(lock, (time.time() - 3600,) * 2)
    (found,) = extension_locks()
    assert found.path == str(lock)
    assert found.age_seconds == pytest.approx(3600, abs=60)


def group_files(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def test_control_groups_of_version_two_limit_as_their_strictest_does(tmp_path: Path) -> None:
    root = group_files(
        tmp_path / "fs",
        {
            "job/memory.max": str(8 * 2**30),
            "job/step/memory.max": "max",
            "job/cpu.max": "max 100000",
            "job/step/cpu.max": "150000 100000",
            "other/memory.max": "1",
        },
    )
    own = group_files(tmp_path, {"own": "0::/job/step"}) / "own"
    assert memory_limit(root, own) == 8 * 2**30
    assert core_quota(root, own) == 1.5


def test_control_groups_of_version_one_limit_even_where_their_path_is_the_hosts(tmp_path: Path) -> None:
    root = group_files(
        tmp_path / "fs",
        {
            "memory/memory.limit_in_bytes": str(4 * 2**30),
            "cpu/cpu.cfs_quota_us": "-1",
            "cpu/job/cpu.cfs_quota_us": "50000",
            "cpu/job/cpu.cfs_period_us": "100000",
        },
    )
    own = group_files(tmp_path, {"own": "4:memory:/docker/abc\n1:cpu,cpuacct:/job\n0::/"}) / "own"
    assert memory_limit(root, own) == 4 * 2**30
    assert core_quota(root, own) == 0.5


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit(tmp_path, tmp_path / "absent") == core_quota(tmp_path, tmp_path) == float("inf")
