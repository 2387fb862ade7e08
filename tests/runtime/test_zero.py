"""PPO's engines under ZeRO 0 to 3 on two processes learn what one process learns without: T8.

Everything is done in one launch: each costs as long as all that is done in it.
"""

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

from align.ppo.advantage import whiten
from align.ppo.imitation import Demonstration, Imitation
from align.ppo.rollout import Experience
from align.ppo.update import Updater
from align.runtime import group
from align.runtime.engine import Engine
from align.runtime.processes import join_group, leave_group
from align.runtime.zero import ZeroEngine, gathered
from tests.ppo.test_ranks import CUT, SHARES
from tests.ppo.test_update import ALL, engines, experience, modules, sgd

RATE, CLIP = 0.3, 0.1
CASES = [(stage, lora) for stage in range(4) for lora in (False, True)]
NOTHING_STAYS_WHOLE = {"stage3_param_persistence_threshold": 0}


def sharded(stage: int, lora: bool, bf16: bool = False, max_grad_norm: float = 1e9) -> tuple[Engine, Engine]:
    section = {"zero_optimization": {"stage": stage, **(NOTHING_STAYS_WHOLE if stage == 3 else {})}}
    settings: Any = {"section": section, "max_grad_norm": max_grad_norm, "bf16": bf16}
    policy, value = (ZeroEngine(module, sgd(RATE), **settings) for module in modules(lora))
    return policy, value


def episodes(rows: list[int], lora: bool) -> Experience:
    batch = experience(*engines(lora=lora)).rows(rows)
    return replace(batch, advantages=whiten(batch.advantages, batch.mask, group.total))


def learn(policy: Engine, value: Engine, batch: Experience, seed: int = 0) -> Any:
    return Updater(policy, value, CUT).update(batch, ALL, (seed,))


def learn_thrice(policy: Engine, value: Engine, batch: Experience) -> Any:
    """What the first of three updates told."""
    return [learn(policy, value, batch, seed) for seed in range(3)][0]


def imitated(policy: Engine, value: Engine, batch: Experience) -> list[torch.Tensor]:
    """The policy's weights once demonstrations were imitated beside: the second process has the long ones."""
    shown = [Demonstration([3, 4], [*range(5, 6 + 15 * (row % 2) + row)]) for row in range(6)]
    given = InTurn(shown, 0.5, batch_size=6, seed=0)
    Updater(policy, value, CUT, given).update(batch, ALL, (0,))
    return weights(policy)


class InTurn(Imitation):
    """Demonstrations in the order in which they are given."""

    def batch(self, step: int, rank: int = 0, processes: int = 1) -> list[Demonstration]:
        return [*self._demonstrations][rank::processes]


def weights(*trained: Engine) -> list[torch.Tensor]:
    return [weight for engine in trained for weight in engine.weights().values()]


def inputs(batch: Experience) -> tuple[torch.Tensor, ...]:
    return batch.input_ids, batch.prompt_lengths, batch.lengths


def case(stage: int, lora: bool, rank: int, folder: Path) -> dict[str, Any]:
    batch = episodes(SHARES[rank], lora)
    policy, value = sharded(stage, lora)
    stats = learn_thrice(policy, value, batch)
    found: dict[str, Any] = {"weights": weights(policy, value), "grad_norm": stats.policy_steps[0].grad_norm}

    with policy.whole():  # one process asks more often than the other
        found["asked"] = [policy.ask(*inputs(batch))[0] for _ in range(1 + rank)][0]

    for name, engine in (("policy", policy), ("value", value)):
        engine.save(folder / f"{stage}-{lora}" / name)
    again = sharded(stage, lora)
    for name, engine in zip(("policy", "value"), again, strict=True):
        engine.load(folder / f"{stage}-{lora}" / name)
    for trained in ((policy, value), again):
        learn(*trained, batch, seed=1)
    pairs = zip(weights(policy, value), weights(*again), strict=True)
    found["resumed apart"] = max((one - other).abs().max().item() for one, other in pairs)

    poisoned = replace(batch, advantages=batch.advantages * (torch.nan if rank else 1.0))
    before = weights(policy)
    found["taken"] = [step.taken for step in learn(policy, value, poisoned).policy_steps]
    found["moved"] = any(not torch.equal(*pair) for pair in zip(before, weights(policy), strict=True))
    return found


def kept(policy: Engine, value: Engine, rank: int) -> dict[str, Any]:
    """What is saved of engines in bf16: the weights that were chosen, or the last ones."""
    chosen, last = policy.weights(), value.weights()
    learn(policy, value, episodes(SHARES[rank], lora=False), seed=1)
    policy.put(chosen)
    found = {"chosen": chosen, "before": last, "last": value.weights()}
    for name, engine in (("policy", policy), ("value", value)):
        engine.release()
        found[name] = {key: weight.detach() for key, weight in engine.module.named_parameters()}
    return found


def frozen(rank: int) -> dict[str, Any]:
    """A reference that is only asked, by one process more often than by the other, and twice."""
    batch = episodes(SHARES[rank], lora=False)
    module = modules()[0].requires_grad_(False)
    expected = module(*inputs(batch))[0]
    apart, held = 0.0, []
    for _ in range(2):
        with gathered(module):
            for _ in range(1 + rank):
                apart = max(apart, (module(*inputs(batch))[0] - expected).abs().max().item())
        held.append(sum(weight.numel() for weight in module.parameters()))
    shares = sum(weight.ds_tensor.numel() for weight in module.parameters())
    return {
        "apart": apart,
        "held": held,
        "share": shares / sum(weight.ds_numel for weight in module.parameters()),
    }


def process(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "DS_ACCELERATOR": "cpu"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    join_group("cpu")
    found: dict[Any, Any] = {key: case(*key, rank, folder) for key in CASES}
    for stage in (1, 2, 3):
        policy, value = sharded(stage, lora=False, bf16=True)
        stats = learn(policy, value, episodes(SHARES[rank], lora=False))
        found["bf16", stage] = [stats.sums["policy/loss"], stats.sums["value/loss"]]
        found["kept", stage] = kept(policy, value, rank)
    for stage in range(4):
        batch = episodes(SHARES[rank], lora=False)
        found["imitated", stage] = imitated(*sharded(stage, lora=False), batch)
        clipped = sharded(stage, lora=False, max_grad_norm=CLIP)
        learn(*clipped, batch)
        found["clipped", stage] = weights(*clipped)
    found["frozen"] = frozen(rank)
    torch.save(found, folder / f"{rank}.pt")
    leave_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, Any]]:
    folder = tmp_path_factory.mktemp("zero")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(process, (port, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("lora", [False, True])
def test_every_stage_learns_what_one_process_learns(found, lora: bool) -> None:
    """One process has more microbatches: DeepSpeed-Chat dropped rows, so that the others waited."""
    policy, value = engines(RATE, lora)
    stats = learn_thrice(policy, value, episodes([*range(8)], lora))
    expected = weights(policy, value)
    start = weights(*engines(RATE, lora))
    assert max((one - other).abs().max().item() for one, other in zip(expected, start, strict=True)) > 1e-3
    for stage in range(4):
        for rank in range(2):
            case_found = found[rank][stage, lora]
            assert abs(case_found["grad_norm"] / stats.policy_steps[0].grad_norm - 1) <= 1e-4
            for one, other in zip(case_found["weights"], expected, strict=True):
                torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_every_stage_clips_the_norm_of_the_whole_gradient(found) -> None:
    """trl#3961."""
    policy, value = engines(RATE, max_grad_norm=CLIP)
    stats = learn(policy, value, episodes([*range(8)], lora=False))
    assert min(step.grad_norm for step in (*stats.policy_steps, *stats.value_steps)) > 2 * CLIP
    expected = weights(policy, value)
    for stage in range(4):
        for rank in range(2):
            for one, other in zip(found[rank]["clipped", stage], expected, strict=True):
                torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_demonstrations_of_unequal_lengths_neither_hang_nor_change_the_step(found) -> None:
    """T7: one process needs more microbatches for its demonstrations than the other."""
    expected = imitated(*engines(RATE), episodes([*range(8)], lora=False))
    for stage in range(4):
        for rank in range(2):
            for one, other in zip(found[rank]["imitated", stage], expected, strict=True):
                torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("lora", [False, True])
def test_whole_weights_are_asked_without_the_other_process(found, lora: bool) -> None:
    policy, value = engines(RATE, lora)
    learn_thrice(policy, value, episodes([*range(8)], lora))
    for rank in range(2):
        expected = policy.ask(*inputs(episodes(SHARES[rank], lora)))[0]
        for stage in range(4):
            torch.testing.assert_close(found[rank][stage, lora]["asked"], expected, atol=1e-4, rtol=0)


def test_a_frozen_model_is_spread_while_it_is_not_asked(found) -> None:
    """trl#827: a reference could not be made under ZeRO-3."""
    for rank in range(2):
        told = found[rank]["frozen"]
        assert told["apart"] == 0.0 and told["held"] == [0, 0]
        assert 0.5 <= told["share"] < 0.6  # of two processes; what does not divide is padded


def test_what_was_saved_goes_on_as_if_it_had_not_been(found) -> None:
    for key in CASES:
        for rank in range(2):
            assert found[rank][key]["resumed apart"] == 0, key


def test_a_gradient_that_is_not_finite_on_one_process_moves_none(found) -> None:
    for key in CASES:
        for rank in range(2):
            assert found[rank][key]["taken"] == [False, False] and not found[rank][key]["moved"], key


def test_losses_in_bf16_are_alike_whatever_is_sharded(found) -> None:
    for stage in (2, 3):
        assert found[0]["bf16", stage] == pytest.approx(found[0]["bf16", 1], rel=1e-3)


def test_what_is_saved_in_bf16_is_the_optimisers_own_fp32(found) -> None:
    for stage in (1, 2, 3):
        kept = found[0]["kept", stage]
        for saved, expected in ((kept["policy"], kept["chosen"]), (kept["value"], kept["last"])):
            assert saved.keys() == expected.keys()
            assert all(torch.equal(saved[name], expected[name]) for name in expected)
        assert all(weight.dtype == torch.float32 for weight in kept["policy"].values())
        assert any(not torch.equal(weight, weight.bfloat16().float()) for weight in kept["policy"].values())
        assert any(not torch.equal(kept["before"][name], weight) for name, weight in kept["last"].items())
