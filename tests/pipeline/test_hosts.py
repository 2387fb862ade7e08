"""Several hosts are one run: here they are processes on one machine, with real agents and real gloo."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from align.artifacts.metrics import read_metrics

PATIENCE = 120.0
GROUP = ("hardware=cpu", "hardware.hosts=2", "parallel=ddp", "launcher=hosts", "launcher.address=127.0.0.1")
SFT = ("run.only=sft", "run.fresh=[sft]")


def free_port() -> int:
    """The first of two ports, next to one another, that nobody listens on."""
    with socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        return int(first.getsockname()[1]) % 30000 + 20000


@contextmanager
def started(toy, outputs: Path, rank: int, port: int, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """One host's command, ended with the test."""
    own = (f"launcher.node_rank={rank}", f"launcher.port={port}", "launcher.silence_seconds=6")
    process = toy.start(outputs, *GROUP, *own, *words)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, output, errors


def losses(artifact: Path) -> list[float]:
    rows = read_metrics(artifact / "metrics.jsonl")
    return [row["policy/loss"] for row in rows if row["split"] == "train" and "policy/loss" in row]


def test_two_hosts_train_what_one_host_with_two_ranks_trains(toy, outputs: Path) -> None:
    alone = toy.run(outputs, *SFT, "run.name=alone", "hardware=2xcpu")
    assert alone.returncode == 0, alone.stderr
    port, words = free_port(), (*SFT, "run.name=hosts")
    with started(toy, outputs, 1, port, *words) as second, started(toy, outputs, 0, port, *words) as first:
        code, output, errors = ended(first)
        assert code == 0, errors + output
        code, output, errors = ended(second)
        assert code == 0, errors + output
    one, two = ((outputs / "runs" / name / "sft").resolve() for name in ("alone", "hosts"))
    assert json.loads((two / "lineage.json").read_text())["world_size"] == 2
    assert {path.name for path in (two / "log").iterdir()} >= {"rank-0.txt", "rank-1.txt"}
    assert len(losses(two)) == 4 and losses(two) == losses(one)
    assert not list((outputs / "hosts").iterdir())
