"""The batch script: written, shown, submitted; run under bash it starts hosts, hands on signals, requeues.

Slurm's own programs are stood in for by scripts of a few lines, first on PATH.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from align.config.problem import ConfigError
from align.config.resources import Hardware
from align.pipeline.launch_spec import SlurmLauncher
from align.pipeline.run import RunOptions
from align.pipeline.slurm import batch_script, command
from tests.pipeline.test_hosts import free_port

WORDS = ("launcher=slurm", "hardware=cpu", "hardware.hosts=2", "parallel=ddp")
SBATCH = 'echo "$@" >> "$RECORD"; echo "4711;cluster"'
SCONTROL = 'if [ "$1" = show ]; then echo 127.0.0.1; else echo "$@" >> "$RECORD"; fi'
# Like srun: the same command once per node, signals handed on, the worst exit code of all.
SRUN = """
while [ "${1#--}" != "$1" ]; do shift; done
tasks=()
for node in $(seq 0 $((NODES - 1))); do SLURM_NODEID=$node "$@" & tasks+=($!); done
trap 'got=1; kill -USR2 "${tasks[@]}"' USR2
worst=0
for task in "${tasks[@]}"; do
  while got=""; do wait "$task"; code=$?; [ $code -gt 128 ] && [ -n "$got" ] || break; done
  [ $code -gt $worst ] && worst=$code
done
exit $worst
"""
SAVES = """
import os, signal, sys, time
def save(number, frame):
    os.write(1, f"saved {sys.argv[1:]}\\n".encode())
    raise SystemExit(75)
signal.signal(signal.SIGUSR2, save)
os.write(1, b"ready\\n")
time.sleep(60)
"""


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """The environment of a cluster; RECORD is what sbatch and scontrol were asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in (("sbatch", SBATCH), ("scontrol", SCONTROL), ("srun", SRUN)):
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    job = {"SLURM_JOB_NODELIST": "n", "SLURM_CPUS_ON_NODE": "2", "SLURM_JOB_ID": "4711", "NODES": "2"}
    path = f"{folder}:{os.environ['PATH']}"
    return {**os.environ, **job, "PATH": path, "RECORD": str(tmp_path / "record")}


def script_of(words: list[str], path: Path, *, devices: int = 1, **changes: object) -> str:
    """A batch script for two hosts."""

    class Run:
        hardware = Hardware(name="h", accelerator="cuda", devices=devices, hosts=2, memory_gib=80)
        run = RunOptions()

    launcher = SlurmLauncher(kind="slurm", **changes)  # type: ignore[arg-type]
    return batch_script(Run(), launcher, "a name", path, words)  # type: ignore[arg-type]


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def test_the_script_is_shown_and_submitted_and_runs_the_command_on_every_node(
    toy, outputs: Path, slurm: dict[str, str]
) -> None:
    words = (*WORDS, f"launcher.port={free_port()}", "launcher.time=24:00:00", "run.name=on_slurm")
    done = run(toy.command(outputs, *words), slurm)
    assert done.returncode == 0, done.stderr
    script = outputs / "slurm" / "on_slurm-0001.sh"
    assert Path(slurm["RECORD"]).read_text() == f"--parsable {script}\n"
    assert done.stdout == f"{script.read_text()}submitted job 4711: {script}, log: " + str(
        script.with_name("on_slurm-0001-4711.log\n")
    )
    lines = script.read_text().splitlines()
    assert {"#SBATCH --nodes=2", "#SBATCH --requeue", "#SBATCH --signal=B:USR2@120",
            "#SBATCH --open-mode=append", "#SBATCH --time=24:00:00"} <= set(lines)  # fmt: skip
    assert not any("gpus" in line for line in lines)
    assert not (outputs / "runs" / "on_slurm").exists()

    ran = run(["bash", str(script)], slurm)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert "all 2 hosts are there" in ran.stdout and "host 1 joins node 0 at 127.0.0.1" in ran.stdout
    assert (outputs / "runs" / "on_slurm" / "run.json").exists()


def test_a_host_without_slurm_says_where_the_script_is(toy, outputs: Path) -> None:
    done = toy.run(outputs, *WORDS)
    (script,) = (outputs / "slurm").iterdir()
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith("launcher.submit: sbatch was not found on this host")
    assert done.stderr.endswith(f"sbatch {script}\n")
    written = toy.run(outputs, *WORDS, "launcher.submit=false")
    assert written.returncode == 0
    assert written.stdout.endswith(f"not submitted (launcher.submit=false): {script.parent}/toy-0002.sh\n")


def test_every_job_of_a_sweep_is_submitted_as_a_command_of_its_own(
    toy, outputs: Path, slurm: dict[str, str]
) -> None:
    done = run(toy.command(outputs, "-m", *WORDS, "stages.dpo.trainer.beta=0.1,0.5"), slurm)
    assert done.returncode == 0, done.stderr
    assert len(Path(slurm["RECORD"]).read_text().splitlines()) == 2
    texts = [path.read_text() for path in sorted((outputs / "slurm").glob("*.sh"))]
    assert len(texts) == 2
    assert all(f"beta={beta} " in text for text, beta in zip(texts, ("0.1", "0.5"), strict=True))
    assert not any("-m " in text or "0.1,0.5" in text for text in texts)


@pytest.mark.parametrize("code", [0, 3, 75, 130])
def test_the_job_ends_as_the_command_does_and_queues_again_where_that_saved_itself(
    tmp_path: Path, slurm: dict[str, str], code: int
) -> None:
    script = tmp_path / "job.sh"
    script.write_text(script_of(["bash", "-c", f"exit {code}"], script))
    assert run(["bash", str(script)], slurm).returncode == code
    record = Path(slurm["RECORD"])
    assert (record.read_text() if record.exists() else "") == ("requeue 4711\n" if code == 75 else "")


def test_a_signal_reaches_the_command_and_its_words_arrive_as_they_were(
    tmp_path: Path, slurm: dict[str, str]
) -> None:
    script = tmp_path / "job.sh"
    odd = "run.name='it is' $HOME \"quoted\" \\"
    script.write_text(script_of([sys.executable, "-c", SAVES, odd], script, devices=8, setup=("export A=b",)))
    job = subprocess.Popen(["bash", str(script)], stdout=subprocess.PIPE, text=True, env=slurm)
    assert job.stdout is not None
    assert [job.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
    time.sleep(0.2)
    job.send_signal(signal.SIGUSR2)
    output, _ = job.communicate(timeout=60)
    nodes = [[odd, "launcher.address=127.0.0.1", f"launcher.node_rank={node}"] for node in (0, 1)]
    assert sorted(output.splitlines()) == [f"saved {words}" for words in nodes]
    assert job.returncode == 75
    assert Path(slurm["RECORD"]).read_text() == "requeue 4711\n"
    assert "#SBATCH --gpus-per-node=8" in script.read_text() and "\nexport A=b\n" in script.read_text()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    script = tmp_path / "a job.sh"
    script.write_text(script_of(["python", "it's", "a=$b"], script, options=("--exclusive",)))
    done = run(["shellcheck", str(script)], dict(os.environ))
    assert done.returncode == 0, done.stdout


def test_a_credential_is_not_written_down() -> None:
    with pytest.raises(ConfigError, match=r"tracking\.api_key: a credential would stand in the script"):
        command(["scripts/sft.py", "+tracking.api_key=abc"])
    words = command(["scripts/sft.py", "--config-dir", "/my conf", "-m", "seed=1"])
    assert words[1].endswith("/scripts/sft.py") and words[2:] == ["--config-dir=/my conf", "seed=1"]
