"""Slurm: the command that was given -> a batch script that runs it on compute nodes; shown and submitted.

Writes  outputs/slurm/<label>-<number>.sh
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from align.config.problem import ConfigError, Problem
from align.config.secret import is_secret
from align.pipeline.launch_spec import SlurmLauncher
from align.pipeline.run import Run
from align.pipeline.stopping import TRY_AGAIN

FOLDER = "slurm"

SCRIPT = """#!/bin/bash
{options}

set -uo pipefail
cd -- {folder} || exit 1
export HF_HUB_OFFLINE=1  # nodes have no internet: scripts/fetch.py fetches on a login node
{setup}
address=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# USR2 comes from Slurm {save_seconds} s before the time limit, TERM when the job is preempted or cancelled.
# srun hands them on; the pipeline then saves itself and ends with {saved}.
signalled=""
# shellcheck disable=SC2317  # a trap calls it
hand_on() {{
  signalled=1
  kill -s "$1" "$step" 2>/dev/null
}}

# shellcheck disable=SC2016  # every node expands its own number
srun --kill-on-bad-exit=0 --cpus-per-task="$SLURM_CPUS_ON_NODE" \\
  bash -c 'exec "$0" "$@" launcher.node_rank="$SLURM_NODEID"' \\
  {command} "launcher.address=$address" &
step=$!
trap 'hand_on USR2' USR2
trap 'hand_on TERM' TERM

# A signal interrupts `wait`, which then has to be called again for the step's own exit code.
while true; do
  wait "$step"
  code=$?
  if [ "$code" -le 128 ] || [ -z "$signalled" ]; then break; fi
  signalled=""
done

if [ "$code" -eq {saved} ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


def submit(run: Run, launcher: SlurmLauncher, label: str) -> str:
    """Write the batch script, show it, submit it unless told not to; what to say at last.

    Raises:
        ConfigError: there is no sbatch here, or it refused the job.
    """
    name = run.run.name or label
    path = _free_path(run.paths.outputs.resolve() / FOLDER, name)
    text = batch_script(run, launcher, name, path, command())
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    if not launcher.submit:
        return f"not submitted (launcher.submit=false): {path}"
    try:
        done = subprocess.run(
            ["sbatch", "--parsable", str(path)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        absent = f"sbatch was not found on this host; run it where Slurm is: sbatch {shlex.quote(str(path))}"
        raise ConfigError([Problem(("launcher", "submit"), absent)]) from None
    if done.returncode:
        refused = f"sbatch refused {path}: {done.stderr.strip() or f'exit code {done.returncode}'}"
        raise ConfigError([Problem(("launcher",), refused)])
    job = done.stdout.strip().partition(";")[0]
    return f"submitted job {job}: {path}, log: {path.with_name(f'{path.stem}-{job}.log')}"


def batch_script(run: Run, launcher: SlurmLauncher, name: str, path: Path, words: Sequence[str]) -> str:
    """The script that runs a command on as many nodes as the hardware has hosts.

    Args:
        run: its hardware says how many nodes and GPUs.
        launcher: what to tell sbatch beside that.
        name: the job's.
        path: where the script will be; its log comes beside it.
        words: the command.
    """
    hardware = run.hardware
    given = {
        "job-name": name,
        "nodes": hardware.hosts,
        "ntasks-per-node": 1,
        "gpus-per-node": hardware.devices if hardware.accelerator == "cuda" else None,
        "cpus-per-task": launcher.cpus_per_node,
        "partition": launcher.partition,
        "account": launcher.account,
        "time": launcher.time,
        "signal": f"B:USR2@{launcher.save_seconds}",
        "open-mode": "append",
        "output": str(path.with_name(f"{path.stem}-%j.log")),
    }
    options = [f"--{key}={shlex.quote(str(value))}" for key, value in given.items() if value is not None]
    return SCRIPT.format(
        options="\n".join(f"#SBATCH {option}" for option in [*options, "--requeue", *launcher.options]),
        folder=shlex.quote(str(Path.cwd())),
        setup="\n".join(launcher.setup),
        save_seconds=launcher.save_seconds,
        saved=TRY_AGAIN,
        command=" \\\n  ".join(shlex.quote(word) for word in words),
    )


def command(argv: Sequence[str] | None = None) -> list[str]:
    """The command that is running, or of a sweep the one that would run this job alone.

    Raises:
        ConfigError: an option holds a credential, which a script must not.
    """
    given = sys.argv if argv is None else argv
    parser = argparse.ArgumentParser(add_help=False)
    for long, short in (("config-dir", "cd"), ("config-name", "cn"), ("config-path", "cp")):
        parser.add_argument(f"--{long}", f"-{short}")
    known, rest = parser.parse_known_args(list(given[1:]))
    options = [f"--{key.replace('_', '-')}={value}" for key, value in vars(known).items() if value]
    overrides = [word for word in rest if not word.startswith("-")]
    if HydraConfig.initialized():  # a sweep's own words name several values; Hydra knows this job's
        overrides = list(HydraConfig.get().overrides.task)
    for word in overrides:
        key = word.partition("=")[0]
        if is_secret(key.rpartition(".")[2]):
            secret = "a credential would stand in the script; pass it in the environment"
            raise ConfigError([Problem(tuple(key.lstrip("+").split(".")), secret)])
    return [sys.executable, str(Path(given[0]).resolve()), *options, *overrides]


def _free_path(folder: Path, label: str) -> Path:
    """`<label>-0001.sh` with the first free number, taken by making the file."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = folder / f"{label}-{number:04d}.sh"
        try:
            path.open("x").close()
            return path
        except FileExistsError:
            number += 1
