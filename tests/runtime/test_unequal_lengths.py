"""Under ZeRO-3 two processes generate as much as each likes, and then learn together.

With the weights gathered and the hooks off no token needs the other process; layer by layer every pass needs
it, and idle passes fill up. Different batches, prompts and lengths neither hang nor mix up what the processes
send each other, and an exception leaves a working engine. What is said is what ZeRO-0 says (T8).
"""

import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp

from align.generation.decoding import DecodingSpec
from align.generation.sampler import TransformersSampler
from align.models.causal import load_policy
from align.models.spec import ModelSpec
from align.models.tokenizer import load_tokenizer
from align.ppo.collect import cheapest
from align.ppo.forward import CompletionLogprobs
from align.ppo.rollout import as_sequences
from align.runtime import group
from align.runtime.processes import join_group, leave_group
from align.runtime.zero import ZeroEngine

PATTERNS = 50
FEW = 10  # layer by layer, which takes as many messages as there are layers and tokens
LEARN_EVERY = 3  # so that rollouts follow rollouts as well as optimiser steps
NOTHING_STAYS_WHOLE = {"stage3_param_persistence_threshold": 0}


class Broken(Exception):
    """Something went wrong in the middle of a rollout."""


class Rollouts:
    """A policy under one ZeRO stage that answers and learns."""

    def __init__(self, stage: int, source: str, gather: bool = True) -> None:
        self.gather = gather
        self.tokenizer = load_tokenizer(source)
        self.model: Any = load_policy(source, ModelSpec(path=source), self.tokenizer).eval()
        self.forbidden = self.sampler(1).forbidden
        section = {"zero_optimization": {"stage": stage, **(NOTHING_STAYS_WHOLE if stage == 3 else {})}}
        self.engine = ZeroEngine(
            CompletionLogprobs(self.model, 1.0, self.forbidden),
            lambda weights: torch.optim.SGD(weights, lr=1e-3),
            section,
            max_grad_norm=1e9,
            gather=gather,
        )

    def sampler(self, tokens: int) -> TransformersSampler:
        decoding = DecodingSpec(temperature=1, max_new_tokens=tokens)
        return TransformersSampler(self.model, self.tokenizer, decoding, weights_stay=self.gather)

    def answer(self, prompts: list[list[int]], tokens: int, number: int) -> list[tuple[int, ...]]:
        sampler = self.sampler(tokens)
        with self.engine.sampling(self.model, sampler.idle):
            return [item.tokens for item in sampler.complete_tokens(prompts, number)]

    def read(self, prompts: list[list[int]], answers: list[tuple[int, ...]]) -> torch.Tensor:
        """Log-probabilities, one row at a time: another number of passes on every process."""
        rows = as_sequences(prompts, answers, pad=0)
        inputs = (rows.input_ids, rows.prompt_lengths, rows.lengths)
        with self.engine.asking(*cheapest(torch.device("cpu"))):
            return torch.cat(
                [self.engine.ask(*(part[[row]] for part in inputs))[0][0, :1] for row in range(len(answers))]
            )

    def learn(self, prompts: list[list[int]], answers: list[tuple[int, ...]]) -> None:
        rows = as_sequences(prompts, answers, pad=0)
        count = group.total(rows.lengths.sum().float())
        with self.engine.microbatch(is_last=True):
            logprobs, _ = self.engine(rows.input_ids, rows.prompt_lengths, rows.lengths)
            self.engine.backward(-logprobs.sum() / count)
        assert self.engine.step(1.0).taken


def pattern(number: int, rank: int) -> tuple[list[list[int]], int]:
    """Prompts of one process, and how many tokens it may answer with: another number on every process."""
    random = np.random.default_rng((number, rank))
    lengths = random.integers(1, 12, size=random.integers(1, 5))
    return [random.integers(10, 300, size=length).tolist() for length in lengths], int(random.integers(1, 25))


def run(stage: int, rank: int, source: str, gather: bool = True, patterns: int = PATTERNS) -> dict[str, Any]:
    rollouts, seconds, said, unequal, read = Rollouts(stage, source, gather), [], [], 0, []
    for number in range(patterns):
        prompts, tokens = pattern(number, rank)
        group.wait()
        began = time.perf_counter()
        answers = rollouts.answer(prompts, tokens, 100 * number + 10 * rank)
        seconds.append(time.perf_counter() - began)
        said.append(answers)
        unequal += len(set(group.everybodys([max(map(len, answers))]))) > 1
        read.append(rollouts.read(prompts, answers))
        if number % LEARN_EVERY == 0:
            rollouts.learn(prompts, answers)
        if gather and number == PATTERNS // 2:
            with pytest.raises(Broken), rollouts.engine.whole():
                if rank == 0:  # the other one is in the middle of its answers
                    raise Broken
                rollouts.sampler(5).complete_tokens(prompts)
                raise Broken
    weights = rollouts.engine.weights()
    found = {"weights": weights, "said": said, "unequal": unequal, "read": torch.cat(read)}
    return found | {"seconds": sum(seconds) / patterns}


def process(rank: int, port: int, source: str, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "DS_ACCELERATOR": "cpu"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    join_group("cpu")
    found: dict[Any, Any] = {stage: run(stage, rank, source) for stage in (0, 3)}
    for stage in (0, 3):
        found[stage, "by layer"] = run(stage, rank, source, gather=False, patterns=FEW)
    torch.save(found, folder / f"{rank}.pt")
    leave_group()


@pytest.mark.timeout(300)  # what hangs would do so for half an hour
def test_processes_that_generate_unequal_lengths_neither_hang_nor_mismatch(
    tiny_model: Path, tmp_path: Path
) -> None:
    """trl#758, trl#1483, trl#2122, trl#2250, trl#2529, trl#3858: generation under ZeRO-3 broke or hung.

    With the weights gathered once it is as fast as without; layer by layer it needs no more memory.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(process, (port, str(tiny_model), tmp_path), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]

    start = load_policy(str(tiny_model), ModelSpec(path=""), load_tokenizer(str(tiny_model))).state_dict()
    assert found[0][3]["unequal"] > 0.8 * PATTERNS
    for rank in range(2):
        assert found[rank][3]["said"] == found[rank][0]["said"], "token by token"
        for name, weight in found[rank][3]["weights"].items():
            torch.testing.assert_close(weight, found[0][0]["weights"][name], atol=1e-5, rtol=0)
    for rank in range(2):
        for kind in (3, (3, "by layer")):
            expected = found[rank][0 if kind == 3 else (0, "by layer")]
            torch.testing.assert_close(found[rank][kind]["read"], expected["read"], atol=1e-4, rtol=0)
            assert found[rank][kind]["said"] == expected["said"]
            for name, weight in found[rank][kind]["weights"].items():
                torch.testing.assert_close(weight, expected["weights"][name], atol=1e-5, rtol=0)
    moved = (found[0][3]["weights"]["model.model.norm.weight"] - start["model.norm.weight"]).abs().max()
    assert moved > 1e-4
    whole, sharded, layers = (1000 * found[0][kind]["seconds"] for kind in (0, 3, (3, "by layer")))
    print(
        f"a rollout takes {whole:.1f} ms under ZeRO-0, {sharded:.1f} ms under ZeRO-3, {layers:.1f} by layer"
    )
