"""Proof: starts the processes of align/runtime/probe.py, ends those that hang, and says what broke."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from align.pipeline.launcher import Layout, environment

PROBE = "align.runtime.probe"
POLL_SECONDS = 0.1
GRACE_SECONDS = 5
TAIL_LINES = 20
LIBRARIES = "libraries"
HUNG = "no progress for"
KILLED = "ended by signal"
Events = list[dict[str, Any]]  # of one process, as it wrote them


@dataclass(frozen=True)
class Proof:
    """One thing that must work, and whether it does.

    Where it does not, `log` is the end of what the processes printed, and `remedy` what to try.
    """

    name: str
    state: Literal["ok", "failed", "skipped"]
    seconds: float = 0.0
    found: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    log: tuple[str, ...] = ()
    remedy: str | None = None


@dataclass(frozen=True)
class Ending:
    """How a child ended: its exit code, None when it hung and was ended."""

    code: int | None
    seconds: float
    log: tuple[str, ...]


def import_libraries(folder: Path, timeout: float) -> tuple[Proof, dict[str, Any]]:
    """Have a child import what every stage needs; what it found about torch and DeepSpeed comes with it."""
    ending = _watched(["facts", str(folder)], environment("cuda", Layout()), folder, timeout)
    facts = folder / "facts.json"
    if ending.code == 0 and facts.is_file():
        return Proof(LIBRARIES, "ok", ending.seconds), json.loads(facts.read_text("utf-8"))
    problem = f"{HUNG} {timeout:g} s" if ending.code is None else f"the process {_exit_text(ending.code)}"
    return Proof(LIBRARIES, "failed", ending.seconds, problem=problem, log=ending.log), {}


def train_together(
    folder: Path, accelerator: Literal["cpu", "cuda"], ranks: int, bf16: bool, timeout: float
) -> list[Proof]:
    """Have fresh processes do all steps, and judge each by what every one of them wrote about it.

    `timeout` is in seconds without news from any of them.
    """
    layout = Layout(ranks, grouped=True)
    several = ["--ranks", str(ranks)] if ranks > 1 else []
    words = ["prove", str(folder), "--accelerator", accelerator, *several, *(["--bf16"] if bf16 else [])]
    started = time.time()
    ending = _watched(words, environment(accelerator, layout), folder, timeout)
    proofs: list[Proof] = []
    for name in steps(bf16):
        is_over = bool(proofs) and proofs[-1].state != "ok"
        proofs.append(
            Proof(name, "skipped") if is_over else judge(name, folder, ranks, started, ending, timeout)
        )
    return proofs


def steps(bf16: bool) -> tuple[str, ...]:
    """The steps of the probe, in order."""
    return ("start", "group", "all-reduce", "ZeRO-3 fp32", *(["ZeRO-3 bf16"] if bf16 else []), "end")


def judge(name: str, folder: Path, ranks: int, started: float, ending: Ending, timeout: float) -> Proof:
    """A step is well where all processes say so, and the last one where they also ended well.

    Args:
        name: the step.
        folder: where the processes wrote their events.
        ranks: how many there should be.
        started: when they were started, in seconds since the epoch.
        ending: how they ended.
        timeout: after how many seconds without news they were ended, if they were.
    """
    events = {rank: _events(folder / f"rank-{rank}.jsonl") for rank in range(ranks)}
    own = {rank: [one for one in told if one["step"] == name] for rank, told in events.items()}
    begun = min((one["at"] for told in own.values() for one in told), default=started)
    begun = started if name == "start" else begun
    well = [one for told in own.values() for one in told if one["state"] == "ok"]
    if len(well) == ranks and (name != "end" or ending.code == 0):
        return Proof(name, "ok", max(one["at"] for one in well) - begun, own[0][-1]["found"])
    problem = _problem(events, own, folder, ending, timeout)
    return Proof(name, "failed", time.time() - begun, problem=problem, log=ending.log)


def _problem(
    events: Mapping[int, Events], own: Mapping[int, Events], folder: Path, ending: Ending, timeout: float
) -> str:
    """Why a step is not well: a hang, a signal, or else what the first process to fail says.

    Of a process that a signal ended the others only say that they lost it.
    """
    if ending.code is None:
        where = ", ".join(f"rank {rank}: {_place(told)}" for rank, told in events.items())
        return f"{HUNG} {timeout:g} s ({where})"
    failed = [
        (one["at"], rank, one["problem"]) for rank, told in own.items() for one in told if "problem" in one
    ]
    who, code = _first_death(folder, ending.code)
    if failed and code >= 0:
        _, rank, problem = min(failed)
        return f"rank {rank}: {problem}"
    return f"{who} {_exit_text(code)}"


def _watched(words: Sequence[str], variables: dict[str, str], folder: Path, timeout: float) -> Ending:
    """Run the probe until it ends, or until nothing new was written to the folder's events for `timeout`."""
    path = folder / "log.txt"
    started = progress = time.monotonic()
    seen = 0
    with path.open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", PROBE, *words, "--parent", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=variables,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the child
        )
    try:
        while (code := child.poll()) is None and time.monotonic() - progress < timeout:
            size = sum(events.stat().st_size for events in folder.glob("rank-*.jsonl"))
            if size != seen:
                seen, progress = size, time.monotonic()
            time.sleep(POLL_SECONDS)
        tail = path.read_text("utf-8", "replace").splitlines()[-TAIL_LINES:]  # before it tells of its end
    finally:
        _end(child)
    return Ending(code, time.monotonic() - started, tuple(tail))


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child that still runs; its own children end with it, by its hand or the kernel's."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _events(path: Path) -> Events:
    """What a process wrote; nothing before it has come to its first line."""
    if not path.is_file():
        return []
    lines = path.read_text("utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _place(told: Events) -> str:
    if not told:
        return "not started yet"
    return f"in {told[-1]['step']}" if told[-1]["state"] == "begun" else f"after {told[-1]['step']}"


def _first_death(folder: Path, code: int) -> tuple[str, int]:
    """Which process ended first and how, where their launcher could tell; else how the launcher did."""
    path = folder / "death.json"
    if not path.is_file():
        return "the process", code
    death = json.loads(path.read_text("utf-8"))
    return f"rank {death['rank']}", death["code"]


def _exit_text(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    likely = ", most often because there was no memory left" if code == -signal.SIGKILL else ""
    return f"was {KILLED} {-code} ({signal.Signals(-code).name}{likely})"
