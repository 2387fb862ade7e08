"""Two processes learn what one does from the same episodes.

Guards T7 and T18 of the specification: whitening, normalisers and decisions are of all processes.
"""

import os
from dataclasses import replace
from pathlib import Path

import torch
import torch.multiprocessing as mp

from align.ppo.advantage import whiten
from align.ppo.update import Updater
from align.runtime import group
from tests.ppo.test_update import ALL, SETTINGS, engines, experience

# Which rows two minibatches hold depends on the shuffling, which is every process's own: one minibatch. The
# second process has the long rows, and so more microbatches.
CUT = replace(SETTINGS, epochs=2, minibatches=1, tokens=40)
SHARES = ([0, 2, 4, 6], [1, 3, 5, 7])


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


def process(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    os.environ["RANK"] = str(rank)
    found: dict[str, object] = {"all": learn(SHARES[rank]), "stopped": learn(SHARES[rank], stop_kl=0.5)}
    found["broken"] = learn(SHARES[rank], poison=torch.nan)
    found["everybody"] = group.everybodys([rank, rank])
    torch.save(found, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_are_one(tmp_path: Path) -> None:
    mp.spawn(process, (tmp_path,), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
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
