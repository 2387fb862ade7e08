"""The whole loop, with transformers for policy and value model, on sentences whose best policy is known: T13.

A sentence has at most two tokens of a, b and END. It earns a point for each a, and loses half a point where
it does not end. The best policy is the reference times exp(score / coefficient), over all seven sentences.
"""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from align.data.records import Message, Prompt
from align.generation.decoding import DecodingSpec
from align.generation.sampler import TransformersSampler
from align.models.attention import use_short_attention
from align.ppo.advantage import token_rewards
from align.ppo.collect import Clock, Collector, Reference
from align.ppo.forward import CompletionLogprobs, CompletionValues
from align.ppo.kl import FixedKl
from align.ppo.loop import Loop, LoopSettings
from align.ppo.prompts import PromptPlan
from align.ppo.rollout import as_sequences
from align.ppo.schedule import Schedule
from align.ppo.score import WeightedSource
from align.ppo.shaping import Shaping
from align.ppo.spec import OptimizerSpec
from align.ppo.update import Updater, UpdateSettings
from align.runtime.engine import Engine

PAD, A, B, END = range(4)
SENTENCES = [[END], [A, END], [A, A], [A, B], [B, END], [B, A], [B, B]]
COEFFICIENT, UNENDED, UPDATES, ROLLOUT = 0.5, 0.5, 40, 128


class Letters:
    """A tokenizer of four tokens, the first of which is padding; the last is the only prompt, too."""

    pad_token_id, eos_token_id = PAD, END

    def __len__(self) -> int:
        return 4

    def decode(self, tokens: Sequence[int], **_: Any) -> str:
        return "".join("-ab."[token] for token in tokens)


class CountA:
    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        return [float(text.count("a")) for text in completions]


def sentence_logprobs(policy: CompletionLogprobs) -> torch.Tensor:
    """Of all sentences. (7,)"""
    sequences = as_sequences([[END]] * len(SENTENCES), SENTENCES, PAD)
    with torch.no_grad():
        return policy(sequences.input_ids, sequences.prompt_lengths, sequences.lengths)[0].double().sum(1)


def best(reference: torch.Tensor) -> torch.Tensor:
    """Probabilities of all sentences under the best policy. (7,)"""
    scores = [row.count(A) - UNENDED * (row[-1] != END) for row in SENTENCES]
    return (reference + torch.tensor(scores, dtype=torch.float64) / COEFFICIENT).softmax(0)


def engine(module: torch.nn.Module, rate: float) -> Engine:
    return Engine(module, lambda weights: torch.optim.AdamW(weights, lr=rate, eps=1e-5), max_grad_norm=1.0)


def loop_over(
    policy: CompletionLogprobs,
    value: CompletionValues,
    sampler: TransformersSampler,
    seed: int,
    minibatches: int,
) -> Loop:
    policy_engine, value_engine = engine(policy, 1e-2), engine(value, 1e-2)
    collector = Collector(
        sampler=sampler,
        policy=policy_engine,
        value=value_engine,
        reference=Reference(policy_engine, copy.deepcopy(policy).requires_grad_(False)),
        sources={"a": WeightedSource(CountA())},
        pad=PAD,
        tokens=4096,
    )
    settings = UpdateSettings(
        epochs=2,
        minibatches=minibatches,
        clip_range_low=0.2,
        clip_range_high=0.2,
        value_clip_range=None,
        dual_clip=None,
        importance_cap=2.0,
        stop_kl=None,
        aggregation="token_mean",
        max_new_tokens=2,
        tokens=4096,
    )
    falling = OptimizerSpec(learning_rate=1e-2)
    return Loop(
        LoopSettings(
            updates=UPDATES,
            rollout_batch_size=ROLLOUT,
            gamma=1.0,
            gae_lambda=0.95,
            whiten=True,
            kl_cap=None,
            max_invalid=0.0,
            seed=seed,
        ),
        prompts=PromptPlan([Prompt((Message("user", "-"),))], [[END]], seed),
        collector=collector,
        updater=Updater(policy_engine, value_engine, settings),
        controller=FixedKl(COEFFICIENT),
        shaping=Shaping(missing_eos="subtract", missing_eos_value=UNENDED),
        schedule=Schedule(updates=UPDATES, steps_per_update=2 * minibatches, policy=falling, value=falling),
        log=lambda *_: None,
        save=lambda _: None,
    )


def toy(seed: int, minibatches: int = 2) -> tuple[CompletionLogprobs, Loop]:
    """A policy, and the loop that is to improve it."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": 4, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    config = LlamaConfig(**sizes, num_attention_heads=2, num_labels=1, initializer_range=0.3)
    config.pad_token_id, config.eos_token_id, config.tie_word_embeddings = PAD, END, False
    model, judge = LlamaForCausalLM(config).eval(), LlamaForSequenceClassification(config).eval()
    torch.nn.init.zeros_(judge.score.weight)
    for each in (model, judge):
        use_short_attention(each)
    decoding = DecodingSpec(temperature=1.0, max_new_tokens=2, seed=seed)
    sampler = TransformersSampler(model, Letters(), decoding)  # type: ignore[arg-type]
    policy = CompletionLogprobs(model, 1.0, sampler.forbidden)
    return policy, loop_over(policy, CompletionValues(judge), sampler, seed, minibatches)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_loop_finds_the_best_policy_of_a_transformer(seed: int) -> None:
    """TV <= .06, and far from where it began; padding, which the reference would say, is never said."""
    policy, loop = toy(seed)
    reference = sentence_logprobs(policy)
    assert reference.exp().sum().item() == pytest.approx(1, abs=1e-5)

    loop.run()

    expected, found = best(reference), sentence_logprobs(policy).exp()
    apart = [0.5 * (one - expected).abs().sum().item() for one in (reference.exp(), found)]
    assert apart[0] > 0.3 and apart[1] <= 0.06


def test_the_kl_that_is_logged_is_the_one_that_is_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    """trl#1161, trl#1180: one tensor, at the coefficient that is logged with it.

    It is k1: earlier code took k3, too, which as a reward has another gradient.
    """
    charged = []

    def heard(score: torch.Tensor, kl: torch.Tensor, mask: torch.Tensor, coefficient: float) -> torch.Tensor:
        rewards = token_rewards(score, kl, mask, coefficient)
        charged.append((score.sum() - rewards.sum()).item() / len(score))
        return rewards

    monkeypatch.setattr("align.ppo.loop.token_rewards", heard)
    _, loop = toy(0)
    for update in range(3):
        metrics, collected = loop._once(Clock())
        loop.update += 1
        rollout = collected.rollout
        k1 = (rollout.old_logprobs - rollout.reference_logprobs).sum().item() / ROLLOUT
        assert metrics["objective/kl"] == pytest.approx(k1, abs=1e-5)
        logged = metrics["objective/kl_coefficient"] * metrics["objective/kl"]
        assert logged == pytest.approx(charged[-1], abs=1e-5)
        assert metrics["objective/reward"] == pytest.approx(
            metrics["objective/shaped_score"] - logged, abs=1e-5
        )
        assert (abs(logged) > 1e-3) == (update > 0), "there is something to charge once it has moved"


def test_advantages_are_whitened_over_real_tokens_alone() -> None:
    """Earlier code, such as trlx's, counted padding, too."""
    _, loop = toy(0)
    rollout = loop._once(Clock())[1].rollout
    assert not rollout.mask.all()
    rewards = torch.randn(rollout.mask.shape, generator=torch.Generator().manual_seed(0)) + 3
    found = loop._experience(rollout, rewards).advantages[rollout.mask].double()
    assert found.mean().item() == pytest.approx(0, abs=1e-5)
    assert found.var(correction=0).item() == pytest.approx(1, abs=1e-4)
