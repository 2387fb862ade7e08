"""Several hosts are one run: here they are processes on one machine, with real agents and real gloo."""

import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from align.artifacts.metrics import read_metrics
from tests.pipeline.test_parallel import descendants

PATIENCE = 120.0
GROUP = ("hardware=cpu", "hardware.hosts=2", "parallel=ddp", "launcher=hosts", "launcher.address=127.0.0.1")
EVALUATE = (
    "+stage@stages.evaluate=evaluate",
    'stages.evaluate.checkpoints={dpo: {path: "stage:dpo"}}',
    "stages.evaluate.suites={questions: {data: {use: sft}}}",
    "stages.evaluate.decoding.max_new_tokens=4",
)
SFT = ("run.only=sft", "run.fresh=[sft]")


def free_port() -> int:
    """A port that nobody listens on, below those that systems give out by themselves."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port


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


def test_two_hosts_train_what_one_process_trains(toy, outputs: Path) -> None:
    (alone,) = (outputs / "artifacts").glob("sft-*")
    port, words = free_port(), (*SFT, "run.name=hosts")
    with started(toy, outputs, 1, port, *words) as second, started(toy, outputs, 0, port, *words) as first:
        code, output, errors = ended(first)
        assert code == 0, errors + output
        code, output, errors = ended(second)
        assert code == 0, errors + output
    both = (outputs / "runs" / "hosts" / "sft").resolve()
    assert json.loads((both / "lineage.json").read_text())["world_size"] == 2
    assert {path.name for path in (both / "log").iterdir()} >= {"rank-0.txt", "rank-1.txt"}
    assert len(losses(both)) == 4 and losses(both) == pytest.approx(losses(alone), abs=1e-4)
    assert not list((outputs / "hosts").iterdir())


@pytest.mark.slow
def test_stages_in_a_row_meet_again_and_what_is_there_is_skipped_everywhere(toy, outputs: Path) -> None:
    held_out = "corpus.sft.held_out=8"
    one_host = toy.run(outputs, held_out, "run.only=sft", "run.name=alone", "hardware=2xcpu")
    assert one_host.returncode == 0, one_host.stderr
    port, words = free_port(), (held_out, *EVALUATE, "run.fresh=[sft]", "run.name=both")
    with started(toy, outputs, 0, port, *words) as first, started(toy, outputs, 1, port, *words) as second:
        assert ended(first)[0] == 0
        code, output, _ = ended(second)
    assert code == 0
    assert [line.split()[0] for line in output.splitlines() if " ran " in line] == ["sft", "dpo"]
    one, two = ((outputs / "runs" / name / "sft").resolve() for name in ("alone", "both"))
    assert one != two and losses(two) == losses(one)
    evaluation = (outputs / "runs" / "both" / "evaluate").resolve()
    assert json.loads((evaluation / "lineage.json").read_text())["world_size"] == 1
    words = (held_out, *EVALUATE)
    with started(toy, outputs, 0, port, *words) as first, started(toy, outputs, 1, port, *words) as second:
        code, output, _ = ended(first)
        assert code == 0 and sum(" cached " in line for line in output.splitlines()) == 4
        code, output, _ = ended(second)
        assert code == 0 and " ran " not in output


def test_a_host_that_does_not_see_the_outputs_is_refused(toy, outputs: Path, tmp_path: Path) -> None:
    port, elsewhere = free_port(), tmp_path / "elsewhere"
    with started(toy, elsewhere, 1, port) as second, started(toy, outputs, 0, port) as first:
        for process in (first, second):
            code, _, errors = ended(process)
            assert code == 2 and "Traceback" not in errors
            assert errors.startswith("paths.outputs: host 1 (") and str(elsewhere) in errors
    assert not list((outputs / "hosts").iterdir())


def test_a_host_that_was_given_other_options_is_refused(toy, outputs: Path) -> None:
    port = free_port()
    with (
        started(toy, outputs, 1, port, "stages.dpo.trainer.beta=0.7") as second,
        started(toy, outputs, 0, port) as first,
    ):
        code, _, errors = ended(first)
        assert code == 2 and errors.startswith("stages.dpo: host 1 (")
        assert "give every host the same options, code and data" in errors
        code, _, again = ended(second)
        assert code == 2 and again == f"node 0: {errors}"


def test_hosts_that_wait_in_vain_say_for_whom(toy, outputs: Path) -> None:
    port, short = free_port(), "launcher.join_seconds=1"
    with started(toy, outputs, 0, port, short) as first:
        code, _, errors = ended(first)
    assert code == 2 and "launcher: host 1 did not join within 1 s" in errors
    with started(toy, outputs, 1, port, short) as second:
        code, _, errors = ended(second)
    assert code == 2 and f"launcher.address: node 0 was not reached at 127.0.0.1, port {port}" in errors


def test_four_hosts_find_one_another_in_any_order(toy, outputs: Path) -> None:
    port, more = free_port(), ("hardware.hosts=4", "run.name=four")
    with ExitStack() as stack:
        order = (2, 0, 3, 1)
        processes = {rank: stack.enter_context(started(toy, outputs, rank, port, *more)) for rank in order}
        for process in processes.values():
            code, _, errors = ended(process)
            assert code == 0, errors
    assert json.loads((outputs / "runs" / "four" / "run.json").read_text())["error"] is None


def test_a_port_that_is_taken_is_refused(toy, outputs: Path) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with started(toy, outputs, 0, port) as first:
            code, _, errors = ended(first)
    assert code == 2 and errors.startswith(f"launcher.port: {port} cannot be listened on (")


def test_a_refusal_of_host_0_ends_the_others(toy, outputs: Path) -> None:
    port, words = free_port(), ("run.fresh=[dpo]", f"run.publish={outputs}")  # a folder that is not empty
    with started(toy, outputs, 0, port, *words) as first, started(toy, outputs, 1, port, *words) as second:
        code, _, errors = ended(first)
        assert code == 2 and errors.startswith("run.publish: ")
        other, _, again = ended(second)
        assert other == 2 and again == f"node 0: {errors}"


LONG = ("run.only=sft", "limits.steps=null", "stages.pretrain.trainer.max_steps=4",
        "stages.sft.trainer.max_steps=2000")  # fmt: skip


@pytest.fixture
def pair(toy, outputs: Path) -> Iterator[tuple["subprocess.Popen[str]", "subprocess.Popen[str]"]]:
    """Two hosts in the middle of a long stage."""
    port = free_port()
    with started(toy, outputs, 0, port, *LONG) as first, started(toy, outputs, 1, port, *LONG) as second:
        deadline = time.monotonic() + PATIENCE
        while not training(outputs):
            assert time.monotonic() < deadline and first.poll() is None and second.poll() is None
            time.sleep(0.1)
        yield first, second


@pytest.mark.slow
def test_the_others_end_when_host_0_is_killed(pair) -> None:
    first, second = pair
    first.kill()
    assert ended(second)[::2] == (1, "node 0 (127.0.0.1) ended without a word\n")


@pytest.mark.slow
def test_host_0_ends_when_another_one_is_killed(pair) -> None:
    first, second = pair
    second.kill()
    code, _, errors = ended(first)
    assert code == 1 and "Traceback" not in errors.splitlines()[0]
    assert errors.startswith("sft failed: host 1 (") and "): it ended without a word" in errors


@pytest.mark.slow
def test_all_end_when_a_rank_of_one_host_is_killed(pair) -> None:
    first, second = pair
    ranks = [pid for pid in descendants(second.pid) if is_rank(pid)]
    assert len(ranks) == 1
    os.kill(ranks[0], signal.SIGKILL)
    code, _, errors = ended(first)
    assert code == 1 and errors.startswith("sft failed: host 1 (")  # not the reset connection it caused
    code, _, again = ended(second)
    assert code == 1 and again.startswith("node 0: sft failed: host 1 (")


@pytest.mark.slow
def test_an_interrupt_of_one_host_ends_all(pair, outputs: Path) -> None:
    first, second = pair
    second.send_signal(signal.SIGINT)
    assert ended(second)[0] == 130
    code, _, errors = ended(first)
    assert code == 1 and "host 1 (" in errors and "): interrupted" in errors
    (status,) = (
        path for path in outputs.glob("artifacts/sft-*/status.json") if '"failed"' in path.read_text()
    )
    assert "interrupted" in json.loads(status.read_text())["error"]


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 1], ids=["host 0", "host 1"])
def test_a_signal_to_one_host_saves_and_ends_all(pair, outputs: Path, asked: int) -> None:
    pair[asked].send_signal(signal.SIGTERM)
    for process in pair:
        code, output, errors = ended(process)
        assert code == 75, errors + output
        assert "stopped by" in errors, errors
    (sft,) = outputs.glob("artifacts/sft-*/checkpoints")
    (checkpoint,) = sft.iterdir()
    assert (checkpoint / "manifest.json").exists()
    assert json.loads((sft.parent / "status.json").read_text())["state"] != "complete"


def is_rank(pid: int) -> bool:
    """Whether this is a process of the group: it works on a job and starts nobody."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return "align.pipeline.worker" in words and "--ranks" not in words


def training(outputs: Path) -> bool:
    """Whether a stage of many steps has made some."""
    return any(path.stat().st_size > 2000 for path in outputs.glob("artifacts/sft-*/metrics.jsonl"))


LONG = ("run.only=sft", "limits.steps=null", "stages.pretrain.trainer.max_steps=4",
        "stages.sft.trainer.max_steps=20000")  # fmt: skip
