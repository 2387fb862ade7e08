"""Doctor: what this machine offers, and the proof that processes train together on it.

python scripts/doctor.py                     one process on each GPU; two where there is none
python scripts/doctor.py --ranks 4 --timeout 300
python scripts/doctor.py --json
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from align.pipeline.advice import Advice, warnings, with_remedy
from align.pipeline.live import screen
from align.pipeline.machine import Machine, look_around
from align.pipeline.proof import LIBRARIES, Proof, import_libraries, steps, train_together

CPU_RANKS = 2
INTERRUPTED = 130  # what a shell reports of a command that Ctrl-C ended
STYLES = {"ok": "green", "failed": "bold red", "skipped": "dim"}


@dataclass(frozen=True)
class Finding:
    """All that was found. `torch` is what align/runtime/probe.py tells, empty where it could not."""

    machine: Machine
    torch: Mapping[str, Any]
    ranks: int
    proofs: tuple[Proof, ...]
    warnings: tuple[Advice, ...]

    @property
    def is_well(self) -> bool:
        """Whether every proof passed."""
        return all(proof.state == "ok" for proof in self.proofs)


class ArgumentError(Exception):
    """Arguments that do not fit this machine."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine this machine.

    Returns:
        The exit code: 0 when every proof passes, 1 when one fails, 2 for arguments that do not fit,
        130 after Ctrl-C.
    """
    given = _parser().parse_args(arguments)
    console = screen()
    is_watched = console.is_terminal and not given.json
    try:
        with console.status("examining this machine") if is_watched else nullcontext():
            finding = examine(given.outputs, given.ranks, given.timeout)
    except ArgumentError as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    if given.json:
        sys.stdout.write(json.dumps(asdict(finding), indent=2, ensure_ascii=False) + "\n")
    else:
        show(finding, console)
    return 0 if finding.is_well else 1


def examine(outputs: Path, ranks: int | None, timeout: float) -> Finding:
    """Look at the machine and have processes prove themselves on it.

    Args:
        outputs: the folder that runs will write to.
        ranks: how many processes; None for one per GPU, or two without.
        timeout: seconds without progress after which a proof has failed.

    Raises:
        ArgumentError: there are fewer GPUs than `ranks`.
    """
    machine = look_around(outputs)
    with tempfile.TemporaryDirectory(prefix="align-doctor-") as folder:
        libraries, torch = import_libraries(Path(folder), timeout)
        gpus = len(torch["gpus"]) if torch else 0
        if ranks is not None and 0 < gpus < ranks:
            raise ArgumentError(f"--ranks {ranks}: torch sees {gpus} GPUs; choose at most that many")
        ranks = ranks or gpus or CPU_RANKS
        if torch:
            together = train_together(Path(folder), torch["accelerator"], ranks, torch["bf16"], timeout)
        else:
            together = [Proof(name, "skipped") for name in steps(bf16=False)]
    accelerator = torch.get("accelerator", "cpu")
    proofs = tuple(with_remedy(proof, accelerator, machine) for proof in (libraries, *together))
    return Finding(machine, torch, ranks, proofs, tuple(warnings(machine, torch, ranks)))


def show(finding: Finding, console: Console) -> None:
    """Print everything for people to read."""
    console.print(Text("Machine", "bold"))
    for name, fact in _facts(finding.machine, finding.torch):
        console.print(Text(f"{name:20}{fact}"))
    backend = f"{finding.torch['accelerator']}/{finding.torch['backend']}" if finding.torch else "unknown"
    console.print(Text(f"\nProofs, {_processes(finding.ranks)} on {backend}", "bold"))
    for proof in finding.proofs:
        _show_proof(proof, console)
    for advice in finding.warnings:
        console.print(Text("\nWarning ", "bold yellow") + Text(advice.problem, "default"))
        console.print(Text(f"        {advice.remedy}"))
    works = "works here." if finding.is_well else "does not work here yet."
    console.print(Text(f"\nTraining {works}", "bold"))


def _show_proof(proof: Proof, console: Console) -> None:
    seconds = f"{proof.seconds:6.1f} s" if proof.state != "skipped" else " " * 8
    result = Text(f"{seconds}  {proof.name:12}  {proof.problem or _result(proof)}".rstrip(), "default")
    console.print(Text(f"{proof.state:8}", STYLES[proof.state]) + result)
    if proof.state == "failed":
        for text in proof.log:
            console.print(Text(f"          | {text}", "dim"))
        console.print(Text(f"          {proof.remedy}"))


def _result(proof: Proof) -> str:
    if proof.name == LIBRARIES:
        return "torch, transformers, trl, peft, datasets and deepspeed import"
    if proof.state != "ok":
        return ""
    if proof.name == "all-reduce" and proof.found:
        small, large = proof.found["gib_per_second_1_mib"], proof.found["gib_per_second_64_mib"]
        latency = 1e6 * proof.found["latency_seconds"]
        return f"sums are right; latency {latency:.0f} µs, 1 MiB {small:.2f} GiB/s, 64 MiB {large:.2f} GiB/s"
    if proof.name.startswith("ZeRO"):
        losses = " -> ".join(f"{loss:.4f}" for loss in proof.found["losses"])
        return f"loss {losses}, as on one process; weights alike on all"
    return {"start": "processes start and import", "group": "one process group"}.get(proof.name, "")


def _facts(machine: Machine, torch: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is worth a line, by name."""
    yield "host", f"{machine.host}, {machine.system}, Python {machine.python}"
    yield "packages", ", ".join(f"{name} {found or 'missing'}" for name, found in machine.packages.items())
    yield "optional", ", ".join(f"{name} {found or '-'}" for name, found in machine.optional.items())
    bf16 = "" if not torch or torch["gpus"] else f", bf16 {'in' if torch['bf16'] else 'not in'} hardware"
    yield "processor", f"{machine.cores:g} cores of {machine.host_cores}{bf16}"
    limit = "" if machine.memory_gib == machine.host_memory_gib else f" of {machine.host_memory_gib:.1f}"
    yield "memory", f"{machine.memory_gib:.1f} GiB{limit}, {machine.free_memory_gib:.1f} available"
    yield "GPUs", _gpus(machine, torch)
    yield "compilers", ", ".join(f"{name} {found or '-'}" for name, found in machine.compilers.items())
    if torch:
        yield "DeepSpeed", "; ".join(f"{name}: {state}" for name, state in torch["operators"].items())
    for name, disk in machine.disks.items():
        yield name, f"{disk.free_gib:.0f} GiB free at {disk.path}"
    shm = "none" if machine.shm_gib is None else f"{machine.shm_gib:.1f} GiB"
    yield "limits", f"{machine.open_files or 'any number of'} open files, /dev/shm {shm}"
    for number, (name, value) in enumerate(machine.environment.items()):
        yield "" if number else "environment", f"{name}={value}"


def _gpus(machine: Machine, torch: Mapping[str, Any]) -> str:
    if not torch or not torch["gpus"]:
        return f"none that torch sees; installed: {', '.join(machine.gpus)}" if machine.gpus else "none"
    kinds = [f"{gpu['name']} ({gpu['memory_gib']:.0f} GiB, {gpu['capability']})" for gpu in torch["gpus"]]
    each = ", ".join(f"{kinds.count(kind)} × {kind}" for kind in dict.fromkeys(kinds))
    peers = {None: "", True: ", peer access", False: ", no peer access between some"}[torch["peer_access"]]
    software = f"driver {machine.driver or 'unknown'}, CUDA {torch['cuda']}, NCCL {torch['nccl']}"
    return f"{each}{peers}, bf16 {'in' if torch['bf16'] else 'not in'} hardware; {software}"


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Tell what this machine offers, and prove that processes train together on it.",
        epilog="Exit code 0: every proof passed; 1: one failed; 2: wrong arguments.",
    )
    parser.add_argument(
        "--ranks", type=_count, help="processes to start; default: one per GPU, or 2 without GPUs"
    )
    parser.add_argument(
        "--timeout",
        type=_duration,
        default=120,
        metavar="SECONDS",
        help="end what makes no progress for so long, and say where it hangs (default: 120)",
    )
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="what paths.outputs is set to")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object instead")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: 1 or more")
    return int(text)


def _duration(text: str) -> float:
    with suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no time: seconds, more than 0")
