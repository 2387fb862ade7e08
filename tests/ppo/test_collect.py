"""What a rollout says of its tokens is what the models say, whether or not the policy is read again."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from align.data.records import Message, Prompt
from align.generation.decoding import DecodingSpec
from align.generation.sampler import Completion, TransformersSampler
from align.models.attention import use_short_attention
from align.ppo.collect import ALIKE, PROBE_ROWS, Clock, Collector, Reference
from align.ppo.forward import CompletionLogprobs, CompletionValues
from align.ppo.prompts import Asked
from align.ppo.rollout import Rollout
from align.ppo.score import WeightedSource
from align.rewards.rules import LengthReward
from align.runtime.engine import Engine
from tests.conftest import question

EPISODES = 3 * PROBE_ROWS


class Off(TransformersSampler):
    """A sampler whose log-probabilities are a little off, as another engine's would be."""

    shift = 0.0

    def complete_tokens(self, prompts: Sequence[Sequence[int]], first: int = 0) -> list[Completion]:
        said = super().complete_tokens(prompts, first)
        return [replace(item, logprobs=tuple(value + self.shift for value in item.logprobs)) for item in said]


@pytest.fixture(scope="module")
def collector(tiny_model: Path) -> Collector:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    torch.manual_seed(0)
    policy = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    other = copy.deepcopy(policy)
    with torch.no_grad():
        for weight in other.parameters():
            weight += 0.01 * torch.randn(weight.shape)
    value = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=1, dtype=torch.float32)
    for model in (policy, other, value):
        use_short_attention(model)
    sampler = Off(policy, tokenizer, DecodingSpec(temperature=1.0, max_new_tokens=12))

    def engine(module: torch.nn.Module) -> Engine:
        return Engine(module, lambda weights: torch.optim.SGD(weights, lr=0.1), max_grad_norm=1.0)

    policy_engine = engine(CompletionLogprobs(policy, 1.0, sampler.forbidden))
    return Collector(
        sampler=sampler,
        policy=policy_engine,
        value=engine(CompletionValues(value.eval())),
        reference=Reference(policy_engine, CompletionLogprobs(other, 1.0, sampler.forbidden)),
        sources={"length": WeightedSource(LengthReward())},
        pad=tokenizer.pad_token_id,
        tokens=200,
    )


def asked(collector: Collector, *earlier: Message) -> list[Asked]:
    prompts = [Prompt((*earlier, Message("user", question(number)))) for number in range(EPISODES)]
    rendered = collector.sampler._rendered([prompt.messages for prompt in prompts])
    pairs = enumerate(zip(prompts, rendered, strict=True))
    return [Asked(prompt, tuple(tokens), number) for number, (prompt, tokens) in pairs]


def collected(collector: Collector, monkeypatch: pytest.MonkeyPatch, shift: float) -> tuple[Rollout, int]:
    """A rollout under a sampler that is off by `shift`, and how many of its rows the policy was read for."""
    read = []
    forward = CompletionLogprobs.forward

    def counted(self: CompletionLogprobs, *inputs: torch.Tensor) -> object:
        read.extend([len(inputs[0])] * (self is collector.policy.module))
        return forward(self, *inputs)

    with monkeypatch.context() as patch:
        patch.setattr(CompletionLogprobs, "forward", counted)
        patch.setattr(Off, "shift", shift)
        return collector.collect(asked(collector), Clock()).rollout, sum(read)


def test_a_sampler_that_agrees_is_believed_and_another_is_not(collector, monkeypatch) -> None:
    """trl#454: with the log-probabilities of generation as the old ones the first ratio was not 1."""
    believed, few = collected(collector, monkeypatch, 0.0)
    read_again, all_rows = collected(collector, monkeypatch, 2 * ALIKE)
    assert (few, all_rows) == (PROBE_ROWS, EPISODES)

    torch.testing.assert_close(believed.old_logprobs, read_again.old_logprobs, atol=ALIKE, rtol=0)
    assert torch.equal(believed.sampler_logprobs[PROBE_ROWS:], believed.old_logprobs[PROBE_ROWS:])
    for name in ("reference_logprobs", "values", "lengths", "scores", "ended"):
        assert torch.equal(getattr(believed, name), getattr(read_again, name)), name
    apart = (read_again.sampler_logprobs - read_again.old_logprobs)[read_again.mask]
    assert apart.mean().item() == pytest.approx(2 * ALIKE, rel=0.1)


def test_what_is_said_of_tokens_is_what_the_models_say_of_all_rows_at_once(collector, monkeypatch) -> None:
    rollout, _ = collected(collector, monkeypatch, 0.0)
    inputs = (rollout.input_ids, rollout.prompt_lengths, rollout.lengths)
    logprobs, entropy = collector.policy.ask(*inputs, True)
    torch.testing.assert_close(rollout.old_logprobs, logprobs, atol=ALIKE, rtol=0)
    torch.testing.assert_close(rollout.values, collector.value.ask(*inputs), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        rollout.reference_logprobs, collector.reference.logprobs(*inputs), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(rollout.entropy[:PROBE_ROWS], entropy[:PROBE_ROWS], atol=1e-4, rtol=0)
    mask = rollout.mask
    assert rollout.entropy[mask].mean().item() == pytest.approx(entropy[mask].mean().item(), rel=0.2)
    assert not rollout.entropy[~mask].any() and not rollout.old_logprobs[~mask].any()


def test_what_ended_is_told_by_the_sampler_and_not_looked_up_in_ids(collector) -> None:
    """trl#6802, trl#6805: earlier turns of a prompt hold EOS, which ends no answer."""
    turns = asked(collector, Message("user", question(0)), Message("assistant", "it is red"))
    eos = collector.sampler._tokenizer.eos_token_id
    assert all(eos in item.tokens for item in turns)

    brief = collector.sampler.with_decoding(DecodingSpec(temperature=1.0, max_new_tokens=4))
    found = replace(collector, sampler=brief).collect(turns, Clock())

    expected = [completion.ended for completion in found.completions]
    assert found.rollout.ended.tolist() == expected and len(set(expected)) == 2
