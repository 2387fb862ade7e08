"""Two hosts with a network of their own each: Linux network namespaces, joined by a virtual cable.

Addresses, routes and interfaces are those of two machines; the file system is shared, as it has to be.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.pipeline.test_hosts import PATIENCE, ended, training

PIPELINE = """
# @package stages
defaults:
  - /stage@sft: sft
  - /stage@ppo: ppo
sft: {batch_size: 8, precision: fp32}
ppo:
  value: null
  batch_size: 8
  updates: 3
  precision: fp32
  decoding: {max_new_tokens: 8}
  policy_optimizer: {learning_rate: 1e-3}
  value_optimizer: {learning_rate: 1e-3}
"""
WORDS = (
    "pipeline=toy_ppo", "parallel=zero3", "reward@stages.ppo.rewards.reward_model.source=length",
    "stages.ppo.rewards.reward_model.source.free=0",
    "stages.ppo.rewards.reward_model.source.per_character=0.1",
    "corpus.prompts.sources.toy.path=${paths.data}/prompts.jsonl",
    "corpus.prompts.sources.toy.format=prompts",
)  # fmt: skip


def ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """The names of two namespaces; the cable of the first is <name>c and 10.77.0.1, the other's 10.77.0.2."""
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` (iproute2) to make network namespaces with")
    names = [f"al{os.getpid() % 100000}{letter}" for letter in "ab"]
    try:
        for name in names:
            if (made := ip("netns", "add", name)).returncode:
                pytest.skip(f"network namespaces cannot be made here: {made.stderr.strip()}")
        made = ip("link", "add", f"{names[0]}c", "type", "veth", "peer", "name", f"{names[1]}c")
        if made.returncode:
            pytest.skip(f"virtual cables cannot be made here: {made.stderr.strip()}")
        for number, name in enumerate(names, start=1):
            ip("link", "set", f"{name}c", "netns", name)
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", f"{name}c")
            for device in ("lo", f"{name}c"):
                assert ip("-n", name, "link", "set", device, "up").returncode == 0
        yield names
    finally:
        for name in names:
            ip("netns", "del", name)


@pytest.fixture
def started(toy, hosts: list[str], outputs: Path) -> Iterator[object]:
    """A function: words -> the two hosts' commands, running; ended with the test."""
    running: list[subprocess.Popen[str]] = []

    def start(*words: str) -> list["subprocess.Popen[str]"]:
        for number, name in enumerate(hosts):
            place = ("hardware=cpu", "hardware.hosts=2", "launcher=hosts", "launcher.address=10.77.0.1",
                     f"launcher.node_rank={number}", "launcher.silence_seconds=6")  # fmt: skip
            command = ["ip", "netns", "exec", name, *toy.command(outputs, *place, *words)]
            pipe = subprocess.PIPE
            running.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True))
        return running

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_ppo_under_zero_3_on_two_hosts_is_that_on_one_with_two_ranks(toy, outputs: Path, started) -> None:
    (toy.conf / "pipeline" / "toy_ppo.yaml").write_text(PIPELINE.lstrip())
    asked = [json.dumps({"prompt": f"What colour is thing number {number}?"}) for number in range(64)]
    (toy.data / "prompts.jsonl").write_text("\n".join(asked))
    one_host = toy.run(outputs, *WORDS, "hardware=2xcpu", "run.name=one_host")
    assert one_host.returncode == 0, one_host.stderr
    for process in started(*WORDS, "run.fresh=[ppo]", "run.name=two_hosts"):
        code, output, errors = ended(process)
        assert code == 0, errors + output
    one, two = ((outputs / "runs" / name / "ppo").resolve() for name in ("one_host", "two_hosts"))
    assert one != two and json.loads((two / "lineage.json").read_text())["world_size"] == 2
    first, second = (load_file(folder / "model" / "model.safetensors") for folder in (one, two))
    sft = load_file(outputs / "runs" / "two_hosts" / "sft" / "model" / "model.safetensors")
    assert first.keys() == second.keys() and len(first) > 10
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], sft[name]) for name in first)


@pytest.mark.slow
def test_a_cable_that_is_pulled_ends_both_hosts_in_time(outputs: Path, hosts: list[str], started) -> None:
    long = ("run.only=sft", "limits.steps=null", "stages.pretrain.trainer.max_steps=4",
            "stages.sft.trainer.max_steps=20000", "parallel=ddp")  # fmt: skip
    processes = started(*long)
    deadline = time.monotonic() + PATIENCE
    while not training(outputs):
        assert time.monotonic() < deadline and all(process.poll() is None for process in processes)
        time.sleep(0.1)
    assert ip("-n", hosts[1], "link", "set", f"{hosts[1]}c", "down").returncode == 0
    pulled = time.monotonic()
    for number, process in enumerate(processes):
        code, _, errors = ended(process)
        assert code == 1 and "was not heard of for 6 s" in errors, errors
        assert ("sft failed: host 1 (" if number == 0 else "node 0 (10.77.0.1)") in errors
    assert time.monotonic() - pulled < 60
