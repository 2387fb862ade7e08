"""Probe: what torch and DeepSpeed find on this machine, and the proof that processes train together on it.

python -m align.runtime.probe facts FOLDER
python -m align.runtime.probe prove FOLDER --accelerator cpu --ranks 2 --bf16

Writes  FOLDER/facts.json
        FOLDER/rank-<r>.jsonl: one event per line, when a step begins and how it ended, so that whoever waits
        knows where a process is that says nothing any more
        FOLDER/death.json: which process ended first and with what exit code, when one did not end well
"""

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

from align.config.resources import resolve_precision
from align.runtime import group
from align.runtime.operators import operator_states
from align.runtime.processes import die_with_parent, join_group, leave_group, rank
from align.runtime.trial import all_reduce, zero3

MODULE = "align.runtime.probe"


def facts() -> dict[str, Any]:
    """What torch and DeepSpeed find; the libraries that every stage needs are imported for it.

    Memory is in GiB; `peer_access` is None with fewer than two GPUs.
    """
    gpus = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    if not gpus:
        os.environ["DS_ACCELERATOR"] = "cpu"  # else DeepSpeed warns that it found out by itself
    from trl import DPOTrainer, RewardTrainer, SFTTrainer  # noqa: F401, PLC0415  (they bring all others)

    properties = [torch.cuda.get_device_properties(gpu) for gpu in gpus]
    pairs = [(one, other) for one in gpus for other in gpus if one != other]
    return {
        "accelerator": "cuda" if gpus else "cpu",
        "backend": "nccl" if gpus else "gloo",
        "cuda": torch.version.cuda,
        "nccl": ".".join(map(str, torch.cuda.nccl.version())) if gpus else None,
        "gpus": [
            {
                "name": one.name,
                "memory_gib": one.total_memory / 2**30,
                "capability": f"{one.major}.{one.minor}",
            }
            for one in properties
        ],
        "peer_access": all(torch.cuda.can_device_access_peer(*pair) for pair in pairs) if pairs else None,
        "bf16": torch.cuda.is_bf16_supported(including_emulation=False)
        if gpus
        else resolve_precision("auto", "cpu") == "bf16",
        "operators": operator_states(),
    }


def prove(folder: Path, accelerator: Literal["cpu", "cuda"], bf16: bool) -> None:
    """Take this process's part in all proofs; `bf16` asks for ZeRO in that precision too.

    Raises:
        ProofError: the processes do not compute what one process computes.
    """
    events = folder / f"rank-{rank()}.jsonl"
    with _step(events, "start"):  # it is over when this process has come here
        pass
    with _step(events, "group"):
        join_group(accelerator)
        group.wait()
    device = (
        torch.device("cuda", torch.cuda.current_device()) if accelerator == "cuda" else torch.device("cpu")
    )
    with _step(events, "all-reduce") as found:
        found |= all_reduce(device)
    for precision in ("fp32", "bf16") if bf16 else ("fp32",):
        with _step(events, f"ZeRO-3 {precision}") as found:
            found |= zero3(device, precision == "bf16")
    with _step(events, "end"):
        group.wait()
        leave_group()


@contextmanager
def _step(events: Path, name: str) -> Iterator[dict[str, Any]]:
    """Write that a step begins and how it ended, with what was found in it."""
    found: dict[str, Any] = {}
    _tell(events, step=name, state="begun")
    try:
        yield found
    except Exception as problem:
        _tell(events, step=name, state="failed", problem=f"{type(problem).__name__}: {problem}")
        raise
    _tell(events, step=name, state="ok", found=found)


def _tell(events: Path, **event: Any) -> None:
    with events.open("a") as file:
        file.write(json.dumps({**event, "at": time.time()}) + "\n")


def main(argv: Sequence[str]) -> int:
    """Write the facts, take part in the proofs, or start the processes that do."""
    given = _arguments().parse_args(argv)
    if given.parent:
        die_with_parent(given.parent)
    if given.action == "facts":
        (given.folder / "facts.json").write_text(json.dumps(facts()))
    elif given.ranks:
        return _start(given)
    else:
        try:
            prove(given.folder, given.accelerator, given.bf16)
        except Exception:  # the process boundary: the event says what, the log where
            traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)  # others may hang in the group for ever; it is not left in peace
    return 0


def _start(given: argparse.Namespace) -> int:
    """Start the processes as the pipeline's worker does, and note which of them ended first."""
    again = ["prove", str(given.folder), "--accelerator", given.accelerator, "--parent", str(os.getpid())]
    local = ["--standalone", "--local_addr", "127.0.0.1", "--nproc_per_node", str(given.ranks)]
    try:
        torchrun([*local, "-m", MODULE, *again, *(["--bf16"] if given.bf16 else [])])
    except ChildFailedError as problem:
        first, failure = problem.get_first_failure()
        (given.folder / "death.json").write_text(json.dumps({"rank": first, "code": failure.exitcode}))
        return 1
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}")
    parser.add_argument("action", choices=("facts", "prove"))
    parser.add_argument("folder", type=Path, help="where facts and events are written")
    parser.add_argument("--accelerator", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--bf16", action="store_true", help="train in bf16 as well")
    parser.add_argument("--ranks", type=int, help="start this many processes for the proofs")
    parser.add_argument("--parent", type=int, help="end when this process, the caller, ends")
    return parser


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
