"""Whatever ends a run, the next one goes on from what is there."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from align.artifacts.checkpoint import checkpoints_in, is_sealed, newest_sound
from align.artifacts.lock import read_status
from align.artifacts.store import Store
from tests.pipeline.processes import PATIENCE, has_ended, wait_until, workers


def sft_of(outputs: Path, but: set[str]) -> Path | None:
    """The SFT artifact that is not among `but` and has a whole checkpoint."""
    for manifest in (outputs / "artifacts").glob("sft-*/checkpoints/checkpoint-*/manifest.json"):
        if manifest.parents[2].name not in but:
            return manifest.parents[2]
    return None


def held(artifact: Path) -> bool:
    status = read_status(artifact)
    return status is not None and status.is_live


def long_sft(toy, outputs: Path, *words: str) -> tuple["subprocess.Popen[str]", Path]:
    """A run in the middle of an SFT stage of many steps that saves itself at every one."""
    known = {path.name for path in (outputs / "artifacts").glob("sft-*")}
    running = toy.start(outputs, *LONG, *words)
    wait_until(lambda: sft_of(outputs, known) or running.poll() is not None, "checkpoint")
    found = sft_of(outputs, known)
    assert found is not None, running.communicate()
    return running, found


LONG = ("run.only=sft", "limits.steps=null", "stages.pretrain.trainer.max_steps=4",
        "stages.sft.trainer.max_steps=60", "checkpoints.every_steps=1")  # fmt: skip


def test_a_killed_worker_fails_the_stage_and_the_next_run_resumes_it(toy, outputs: Path) -> None:
    running, sft = long_sft(toy, outputs)
    (worker,) = workers(running.pid)
    subprocess.run(["kill", "-KILL", str(worker)], check=True)
    _, errors = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1
    assert "sft failed: the worker was killed (signal 9)" in errors and "Traceback" not in errors
    assert "If sft ran out of memory" in errors and "set resources.sft.micro_batch" in errors
    assert json.loads((sft / "status.json").read_text())["state"] == "failed"
    assert not (sft / "lineage.json").exists() and not (sft / "model").exists()

    again = toy.run(outputs, *LONG, "checkpoints.every_steps=null", "run.name=again")
    assert again.returncode == 0, again.stderr
    record = json.loads((outputs / "runs" / "again" / "run.json").read_text())
    assert {name: stage["status"] for name, stage in record["stages"].items()} == {
        "pretrain": "cached",
        "sft": "resumed",
    }
    steps = [json.loads(line)["step"] for line in (sft / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps) and steps[-1] == 60
    assert not (sft / "checkpoints").exists()


def test_a_killed_pipeline_takes_its_worker_along_and_frees_the_lock(toy, outputs: Path) -> None:
    running, sft = long_sft(toy, outputs)
    (worker,) = workers(running.pid)
    running.kill()
    running.communicate()
    wait_until(lambda: has_ended(worker), "end of the worker")
    planned = toy.run(outputs, *LONG, "run.dry_run=true")
    last = planned.stdout.splitlines()[-1]
    assert sft.name in last and last.endswith("would run  was interrupted; goes on from a checkpoint")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_who_is_asked_to_stop_saves_and_asks_to_be_started_again(
    toy, outputs: Path, number: signal.Signals
) -> None:
    running, sft = long_sft(toy, outputs)
    for process in (*workers(running.pid), running.pid):  # as a scheduler does it: all of them
        os.kill(process, number)
    output, errors = running.communicate(timeout=PATIENCE)
    assert running.returncode == 75
    told = re.match(rf"stopped by {number.name}: sft saved at step (\d+)\nWhat was finished is kept", errors)
    assert told is not None, errors
    assert re.search(r"^sft +stopped +sft-", output, re.MULTILINE)
    newest = newest_sound(sft / "checkpoints")
    assert newest is not None and newest.name == f"checkpoint-{told[1]}"
    assert not (sft / "lineage.json").exists()

    planned = toy.run(outputs, *LONG, "run.dry_run=true").stdout.splitlines()[-1]
    assert planned.endswith("would run  was interrupted; goes on from a checkpoint")
    again = toy.run(outputs, *LONG, "checkpoints.every_steps=null", "run.name=again")
    assert again.returncode == 0, again.stderr
    steps = [json.loads(line)["step"] for line in (sft / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps) and steps[-1] == 60


def test_a_stop_that_no_save_follows_in_time_ends_the_run_all_the_same(toy, outputs: Path) -> None:
    running, sft = long_sft(toy, outputs, "checkpoints.grace_seconds=0.5")
    (worker,) = workers(running.pid)
    os.kill(worker, signal.SIGSTOP)  # too slow to save itself
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=PATIENCE)
    assert running.returncode == 75
    assert errors.startswith("stopped by SIGTERM: sft not saved anew\n")
    assert has_ended(worker) and newest_sound(sft / "checkpoints") is not None


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_resumed(toy, outputs: Path) -> None:
    running, sft = long_sft(toy, outputs)
    wait_until(lambda: (sft / "checkpoints" / "checkpoint-4" / "manifest.json").exists(), "checkpoint")
    running.kill()
    running.communicate()
    wait_until(lambda: not held(sft), "end of the lock")
    *_, before, newest = (path for path in checkpoints_in(sft / "checkpoints") if is_sealed(path))
    with (newest / "optimizer.pt").open("r+b") as stream:
        stream.write(b"x")
    again = toy.run(outputs, *LONG, "checkpoints.every_steps=null")
    assert again.returncode == 0, again.stderr
    assert f"sft: {newest.name} is damaged: optimizer.pt was changed" in again.stdout
    resumed = next(
        line for line in (sft / "log" / "rank-0.txt").read_text().splitlines() if "resumed" in line
    )
    assert resumed == f"resumed from {before.name}"


def test_an_interrupt_ends_the_run_at_once(toy, outputs: Path) -> None:
    running, sft = long_sft(toy, outputs)
    (worker,) = workers(running.pid)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert errors.startswith("interrupted\n") and "Traceback" not in errors
    assert has_ended(worker)
    assert json.loads((sft / "status.json").read_text())["state"] == "failed"
    (folder,) = [path for path in (outputs / "runs").iterdir() if path.name != "chain"]
    assert json.loads((folder / "run.json").read_text())["error"] == "interrupted"


def test_a_stage_that_another_run_builds_is_waited_for(toy, outputs: Path) -> None:
    (dpo,) = (outputs / "artifacts").glob("dpo-*")
    elsewhere = outputs / "elsewhere"
    shutil.move(dpo, elsewhere)
    store = Store(outputs)
    lock = store.acquire(store.named(dpo.name))
    assert lock is not None
    with lock:
        waiting = toy.start(outputs, "run.name=waiting")
        assert waiting.stdout is not None
        assert any("waiting for process" in line for line in waiting.stdout)
        shutil.copytree(elsewhere / "model", dpo / "model")
        store.commit(lock, {"parents": {}})
    _, errors = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 0, errors
    record = json.loads((outputs / "runs" / "waiting" / "run.json").read_text())
    assert record["stages"]["dpo"]["status"] == "cached"


def test_a_stage_that_fails_shows_its_log_and_leaves_the_others_valid(toy, outputs: Path) -> None:
    diverging = (
        "stages.sft.trainer.learning_rate=1e30",
        "stages.sft.trainer.max_grad_norm=0",
        "run.name=bad",
    )
    done = toy.run(outputs, *diverging)
    assert done.returncode == 1
    first, *rest = done.stderr.splitlines()
    assert first.startswith("sft failed: NonFiniteLossError: ")
    (log,) = [line.removeprefix("log: ") for line in rest if line.startswith("log: ")]
    assert "NonFiniteLossError" in Path(log).read_text()
    record = json.loads((outputs / "runs" / "bad" / "run.json").read_text())
    states = {name: stage["status"] for name, stage in record["stages"].items()}
    assert states == {"pretrain": "cached", "sft": "failed"}
    assert "failed the last time" not in done.stderr
    again = toy.run(outputs, *diverging).stderr
    assert "This is how it failed the last time" in again and "run.fresh=[sft]" in again
    planned = toy.run(outputs, *diverging, "run.dry_run=true").stdout.splitlines()
    assert "cached" in planned[0] and "failed: NonFiniteLossError" in planned[1]
    assert all(" cached " in line for line in toy.run(outputs, "run.dry_run=true").stdout.splitlines())
