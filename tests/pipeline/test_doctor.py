"""The doctor on this machine: one real launch that passes, real ones that fail early, and what it says.

Each launch costs as long as the imports of several processes, so whatever can be asked of one is.
"""

import io
import json
import math
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from align.config.resources import resolve_precision
from align.pipeline.advice import warnings, with_remedy
from align.pipeline.doctor import Finding, main, show
from align.pipeline.machine import Disk, Lock, Machine, look_around
from align.pipeline.proof import Ending, Proof, judge, steps, train_together

ROOT = Path(__file__).parents[2]
SECRET = "never-to-be-shown"
H100 = {"name": "NVIDIA H100", "memory_gib": 79.6, "capability": "9.0"}
CPU = {"accelerator": "cpu", "backend": "gloo", "cuda": None, "gpus": [], "bf16": True, "operators": {}}
CUDA = CPU | {
    "accelerator": "cuda", "backend": "nccl", "cuda": "12.8", "nccl": "2.27.3", "gpus": [H100, H100],
    "peer_access": True,
}  # fmt: skip
STALE = "/cache/torch_extensions/py311_cpu/fused_adam/lock"


@pytest.fixture(scope="module")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of compiled operators in which a compilation was killed three hours ago."""
    folder = tmp_path_factory.mktemp("extensions")
    (folder / "fused_adam").mkdir()
    (folder / "fused_adam" / "lock").touch()
    os.utime(folder / "fused_adam" / "lock", (time.time() - 3 * 3600,) * 2)
    return folder


@pytest.fixture(scope="module")
def launched(extensions: Path) -> subprocess.CompletedProcess[str]:
    """The script on the processor, told to be short with everything."""
    variables = os.environ | {
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))),  # on two processes: too many
        "TORCH_EXTENSIONS_DIR": str(extensions),
        "HF_TOKEN": SECRET,
        "WANDB_API_KEY": SECRET,
    }
    command = [sys.executable, "scripts/doctor.py", "--json", "--ranks", "2"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=variables, timeout=240)


@pytest.fixture(scope="module")
def found(launched: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert launched.returncode == 0, launched.stdout + launched.stderr
    return json.loads(launched.stdout)


def test_every_proof_passes_here(found: dict[str, Any]) -> None:
    assert [proof["state"] for proof in found["proofs"]] == ["ok"] * len(found["proofs"])
    assert [proof["name"] for proof in found["proofs"]] == ["libraries", *steps(found["torch"]["bf16"])]
    proofs = {proof["name"]: proof["found"] for proof in found["proofs"]}
    assert 0 < proofs["all-reduce"]["latency_seconds"] < 1
    assert 0 < proofs["all-reduce"]["gib_per_second_64_mib"] < 1000
    first, second, last = proofs["ZeRO-3 fp32"]["losses"]
    assert first == pytest.approx(math.log(64), abs=0.2)  # random weights know nothing of 64 tokens
    assert last < second < first
    assert last == pytest.approx(proofs["ZeRO-3 fp32"]["alone"], rel=1e-4)


def test_the_facts_are_those_of_other_sources(found: dict[str, Any]) -> None:
    import torch

    assert found["machine"]["host_cores"] == os.cpu_count()
    assert found["machine"]["packages"]["torch"] == torch.__version__
    assert found["torch"]["cuda"] == torch.version.cuda
    assert (found["torch"]["accelerator"], found["torch"]["backend"]) == ("cpu", "gloo")
    assert found["torch"]["bf16"] == (resolve_precision("auto", "cpu") == "bf16")
    assert found["ranks"] == 2


def test_no_secret_leaves_the_process(
    found: dict[str, Any], launched: subprocess.CompletedProcess[str]
) -> None:
    assert found["machine"]["environment"]["HF_TOKEN"] == "***"
    assert SECRET not in launched.stdout + launched.stderr


def test_it_warns_of_what_hangs_or_slows_later_runs(found: dict[str, Any], extensions: Path) -> None:
    told = {one["problem"]: one["remedy"] for one in found["warnings"]}
    (lock,) = [problem for problem in told if str(extensions) in problem]
    assert "3 hours old" in lock and f"rm {extensions}/fused_adam/lock" in told[lock]
    assert any(problem.startswith("OMP_NUM_THREADS=") for problem in told)


def test_an_interface_that_does_not_exist_fails_the_group_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "nosuch0")
    proofs = train_together(tmp_path, "cpu", 2, False, 120)
    assert [proof.state for proof in proofs] == ["ok", "failed", "skipped", "skipped", "skipped"]
    failed = with_remedy(proofs[1], "cpu", look_around(tmp_path))
    assert failed.name == "group" and "nosuch0" in (failed.problem or "")
    assert any("nosuch0" in line for line in failed.log)
    assert "GLOO_SOCKET_IFNAME=lo" in (failed.remedy or "")


def test_what_takes_too_long_fails_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    assert main(["--timeout", "0.2"]) == 1
    assert time.monotonic() - started < 30
    shown = capsys.readouterr().out
    assert "libraries" in shown and "no progress for 0.2 s" in shown and "--timeout" in shown


@pytest.mark.parametrize("words", [["--ranks", "0"], ["--ranks", "two"], ["--timeout", "-1"], ["--rank"]])
def test_wrong_arguments_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(words)
    assert refusal.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_more_ranks_than_gpus_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    well = Proof("libraries", "ok", 5.0), CUDA
    monkeypatch.setattr("align.pipeline.doctor.import_libraries", lambda *_: well)
    assert main(["--ranks", "3"]) == 2
    assert capsys.readouterr().err.startswith("--ranks 3: torch sees 2 GPUs")


# What a launch would show that goes wrong elsewhere than here.


def write_events(folder: Path, rank: int, *told: tuple[str, str]) -> None:
    """(step, state) one per line, a second apart; a state that is none is a problem."""
    lines = []
    for second, (step, state) in enumerate(told):
        event: dict[str, Any] = {"step": step, "at": 100.0 + second, "found": {}}
        states = {"begun", "ok"}
        event |= {"state": state} if state in states else {"state": "failed", "problem": state}
        lines.append(json.dumps(event) + "\n")
    (folder / f"rank-{rank}.jsonl").write_text("".join(lines))


def judged(folder: Path, step: str, code: int | None) -> Proof:
    return judge(step, folder, 2, 99.0, Ending(code, 9.0, ("last words",)), 5)


def test_a_hang_tells_where_every_process_is(tmp_path: Path) -> None:
    write_events(tmp_path, 0, ("group", "begun"), ("group", "ok"), ("all-reduce", "begun"))
    assert judged(tmp_path, "group", None).problem == (
        "no progress for 5 s (rank 0: in all-reduce, rank 1: not started yet)"
    )
    write_events(tmp_path, 1, ("group", "begun"), ("group", "ok"))
    assert judged(tmp_path, "group", None) == Proof("group", "ok", 1.0)
    hung = judged(tmp_path, "all-reduce", None)
    assert hung.state == "failed" and hung.log == ("last words",)
    assert hung.problem == "no progress for 5 s (rank 0: in all-reduce, rank 1: after group)"


def test_a_process_that_was_killed_is_the_cause_not_those_that_lost_it(
    tmp_path: Path, machine: Machine
) -> None:
    write_events(tmp_path, 0, ("all-reduce", "begun"), ("all-reduce", "RuntimeError: connection reset"))
    write_events(tmp_path, 1, ("all-reduce", "begun"))
    assert judged(tmp_path, "all-reduce", 1).problem == "rank 0: RuntimeError: connection reset"
    (tmp_path / "death.json").write_text('{"rank": 1, "code": -9}')
    killed = with_remedy(judged(tmp_path, "all-reduce", 1), "cuda", machine)
    assert killed.problem and killed.problem.startswith("rank 1 was ended by signal 9 (SIGKILL")
    assert killed.remedy and "memory" in killed.remedy


def test_processes_that_do_not_end_well_fail_the_last_step(tmp_path: Path) -> None:
    for rank in range(2):
        write_events(tmp_path, rank, ("end", "begun"), ("end", "ok"))
    assert judged(tmp_path, "end", 0).state == "ok"
    assert judged(tmp_path, "end", -11).problem == "the process was ended by signal 11 (SIGSEGV)"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """This machine without anything to warn of."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    disks = {name: Disk("/large", 500.0) for name in ("outputs", "Hugging Face cache", "temporary files")}
    sound = {"disks": disks, "locks": (), "gpus": (), "driver": None, "shm_gib": 16.0, "open_files": 65536}
    return replace(look_around(tmp_path), cores=8, **sound)


def test_a_sound_machine_is_not_warned_of(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert warnings(machine, CPU, 2) == []
    assert warnings(replace(machine, gpus=("NVIDIA H100",) * 2), CUDA, 2) == []
    assert warnings(replace(machine, shm_gib=0.06), CPU, 2) == []  # nobody shares memory between GPUs


@pytest.mark.parametrize(
    ("changes", "torch", "problem", "remedy"),
    [
        ({"disks": {"outputs": Disk("/full", 19.0)}}, CPU, "19.0 GiB are free for outputs", "paths.outputs="),
        ({"disks": {"temporary files": Disk("/t", 1.0)}}, CPU, "1.0 GiB are free", "TMPDIR="),
        ({"locks": (Lock(STALE, 86400.0 * 3),)}, CPU, "is 3 days old", f"rm {STALE}"),
        ({"gpus": ("NVIDIA H100",)}, CPU, "built without CUDA", "pytorch.org"),
        ({"gpus": ("NVIDIA H100",)}, CPU | {"cuda": "12.8"}, "torch sees none", "CUDA_VISIBLE_DEVICES"),
        ({}, CPU | {"bf16": False}, "no bf16 instructions", "precision=auto"),
        ({}, CUDA | {"bf16": False}, "no bf16 in hardware", "hardware.precision=fp32"),
        ({"gpus": ("H", "H"), "shm_gib": 0.0625}, CUDA, "/dev/shm has 64 MiB", "--shm-size"),
        ({"open_files": 256}, CPU, "may open 256 files", "ulimit -n"),
    ],
)
def test_what_will_go_wrong_is_told_with_its_remedy(
    machine: Machine, changes: dict[str, Any], torch: dict[str, Any], problem: str, remedy: str
) -> None:
    (advice,) = warnings(replace(machine, **changes), torch, 2)
    assert problem in advice.problem
    assert remedy in advice.remedy


def shown(machine: Machine, torch: dict[str, Any], *proofs: Proof) -> str:
    out = io.StringIO()
    finding = Finding(machine, torch, 2, proofs, tuple(warnings(machine, torch, 2)))
    json.dumps(asdict(finding))
    show(finding, Console(file=out, width=300))
    return out.getvalue()


def test_gpus_are_told_in_one_line(machine: Machine) -> None:
    text = shown(replace(machine, driver="570.86.15"), CUDA, Proof("libraries", "ok", 5.0))
    assert "2 × NVIDIA H100 (80 GiB, 9.0), peer access, bf16 in hardware; driver 570.86.15, CUDA 12.8" in text
    assert "Proofs, 2 processes on cuda/nccl" in text and "Training works here." in text


def test_a_failure_is_shown_with_the_log_and_what_to_do(machine: Machine) -> None:
    failed = Proof("all-reduce", "failed", 9.0, problem="no progress", log=("[0] last words",))
    text = shown(machine, CUDA, with_remedy(failed, "cuda", machine), Proof("end", "skipped"))
    assert (
        "| [0] last words" in text and "NCCL_DEBUG=INFO" in text and "Training does not work here yet" in text
    )


def test_an_interrupt_ends_it_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("align.pipeline.doctor.import_libraries", interrupt)
    assert main([]) == 130
