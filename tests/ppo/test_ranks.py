"""Two processes learn what one does from the same episodes, and save it.

Guards T7 and T18 of the specification: whitening, normalisers and decisions are of all processes. All is done
in one launch.
"""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

from align.ppo.advantage import whiten
from align.ppo.collect import Clock
from align.ppo.update import Updater
from align.runtime import group
from tests.ppo.test_loop_learns_toy import toy
from tests.ppo.test_update import ALL, SETTINGS, engines, experience
from tests.stages.conftest import written
from tests.stages.sharded import Case, perform
from tests.stages.test_sharded import ppo

# Which rows two minibatches hold depends on the shuffling, which is every process's own: one minibatch. The
# second process has the long rows, and so more microbatches.
CUT = replace(SETTINGS, epochs=2, minibatches=1, tokens=40)
SHARES = ([0, 2, 4, 6], [1, 3, 5, 7])
OWN = re.compile("^time|padding|per_second|^objective/entropy$")
SAVED = ("model/model.safetensors", "value/model.safetensors", "adapter/adapter_model.safetensors")


def learn(rows: list[int], stop_kl: float | None = None, poison: float = 0.0) -> dict[str, object]:
    policy, value = engines(learning_rate=0.3)
    batch = experience(*engines()).rows(rows)
    batch = replace(batch, advantages=whiten(batch.advantages, batch.mask, group.total))
    if stop_kl is not None and 1 in rows:  # only the second process's episodes are far off
        batch = replace(batch, old_logprobs=batch.old_logprobs - 3.0 * batch.mask)
    if 1 in rows:  # so it is with what else goes wrong
        batch = replace(batch, advantages=batch.advantages + poison * batch.mask)
    stats = Updater(policy, value, replace(CUT, stop_kl=stop_kl)).update(batch, ALL, (0,))
    return {
        "weights": [weight.detach() for engine in (policy, value) for weight in engine.module.parameters()],
        "advantages": batch.advantages,
        "steps": len(stats.policy_steps),
        "grad_norm": stats.policy_steps[0].grad_norm,
        "taken": [[step.taken for step in steps] for steps in (stats.policy_steps, stats.value_steps)],
    }


def looped() -> dict[str, Any]:
    """What two updates of the whole loop log, and the weights they lead to.

    The entropy is left out: which tokens it is estimated at depends on how many rows a process has.
    """
    _, loop = toy(0, minibatches=1)
    logged, padding = [], []
    for _ in range(2):
        metrics, _ = loop._once(Clock())
        loop.update += 1
        padding.append(metrics["rollout/padding_fraction"])
        logged.append({name: value for name, value in metrics.items() if not OWN.search(name)})
    engines = loop.engines.values()
    weights = [weight.detach() for engine in engines for weight in engine.module.parameters()]
    return {"logged": logged, "padding": padding, "weights": weights}


def process(rank: int, folder: Path, adapter: Case) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    os.environ["RANK"] = str(rank)
    found: dict[str, object] = {"all": learn(SHARES[rank]), "stopped": learn(SHARES[rank], stop_kl=0.5)}
    found["broken"] = learn(SHARES[rank], poison=torch.nan)
    found["everybody"] = group.everybodys([rank, rank])
    found["loop"] = looped()
    found["adapter"] = perform(adapter, folder, 2)
    torch.save(found, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """Where the processes wrote what they found."""
    folder = tmp_path_factory.mktemp("ranks")
    data = written(folder / "prompts.jsonl", [{"prompt": f"What of {row}?"} for row in range(8)], "prompts")
    adapter = Case("adapter", ppo(tiny_model, data) | {"adapter": {"rank": 2}, "updates": 1}, "ddp")
    mp.spawn(process, (folder, adapter), nprocs=2)
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def test_two_processes_are_one(found: list[dict[str, Any]]) -> None:
    """trl#2596: one device that accumulates could not learn what several do."""
    alone = learn(list(range(8)))

    for rank in range(2):
        assert found[rank]["everybody"] == [0, 0, 1, 1]
        assert found[rank]["all"]["steps"] == alone["steps"] == 2
        assert abs(found[rank]["all"]["grad_norm"] / alone["grad_norm"] - 1) <= 1e-5
        for one, other in zip(found[rank]["all"]["weights"], alone["weights"], strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
        own = found[rank]["all"]["advantages"]
        of_all = alone["advantages"][SHARES[rank], : own.shape[1]]
        torch.testing.assert_close(own, of_all, atol=1e-5, rtol=0)
        assert found[rank]["stopped"]["steps"] == 1, "the decision is of all processes' tokens"
        assert found[rank]["broken"]["taken"] == [[False, False], [True, True]], "no process takes the step"
        policy = [*engines()[0].module.parameters()]
        for one, start in zip(found[rank]["broken"]["weights"], policy, strict=False):
            assert torch.equal(one, start)


def test_the_loop_of_two_processes_logs_and_learns_what_that_of_one_does(found: list[dict[str, Any]]) -> None:
    """Earlier code whitened per process."""
    alone = looped()
    assert found[0]["loop"]["padding"] == found[1]["loop"]["padding"], "of all rows, whoever has them"
    for rank in range(2):
        for own, expected in zip(found[rank]["loop"]["logged"], alone["logged"], strict=True):
            assert own == pytest.approx(expected, rel=1e-3, abs=1e-5)
        for one, other in zip(found[rank]["loop"]["weights"], alone["weights"], strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_what_several_processes_train_is_compared_and_saved_unwrapped(
    found: list[dict[str, Any]], folder: Path
) -> None:
    """trl#2375, ms-swift#2289: `DistributedDataParallel` has no attribute `policy`, and no adapter."""
    assert [said["adapter"] for said in found] == [None, None]
    assert all((folder / "adapter" / file).exists() for file in SAVED)
