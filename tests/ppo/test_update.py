"""One rollout learnt from, with real models: the same gradient however it is cut, and steps that count.

Guards T2, T6, T9, T17 and T18 of the specification.
"""

import copy
import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from align.ppo.forward import CompletionLogprobs, CompletionValues, rounded_up
from align.ppo.rollout import ROWS_STEP, WIDTH_STEP, Experience, as_sequences, microbatches
from align.ppo.update import APPROX_KL, Updater, UpdateSettings, UpdateStats
from align.runtime.engine import Engine, MakeOptimizer

VOCABULARY = 41
LENGTHS = [1, 17, 3, 9, 2, 24, 5, 11]
SETTINGS = UpdateSettings(
    epochs=1,
    minibatches=1,
    clip_range_low=0.2,
    clip_range_high=0.2,
    value_clip_range=0.2,
    dual_clip=None,
    importance_cap=2.0,
    stop_kl=None,
    aggregation="token_mean",
    max_new_tokens=24,
    tokens=10_000,
)
ALL = [(1.0, 1.0)] * 8


def config(**changes: object) -> LlamaConfig:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2}
    return LlamaConfig(**sizes, num_attention_heads=2, pad_token_id=0, num_labels=1, **changes)


def modules(lora: bool = False, **changes: object) -> tuple[CompletionLogprobs, CompletionValues]:
    """A policy and a value model, alike every time."""
    torch.manual_seed(0)
    policy = LlamaForCausalLM(config(**changes)).eval()
    value = LlamaForSequenceClassification(config(**changes)).eval()
    if lora:
        policy = get_peft_model(policy, LoraConfig(r=2, target_modules="all-linear"))
        few = LoraConfig(r=2, target_modules=["q_proj", "up_proj"], task_type="SEQ_CLS")
        value = get_peft_model(value, few)
    return CompletionLogprobs(policy, 1.0, torch.zeros(VOCABULARY, dtype=torch.bool)), CompletionValues(value)


def sgd(learning_rate: float) -> MakeOptimizer:
    """Plain descent, so that weights tell the gradient."""
    return lambda weights: torch.optim.SGD(weights, lr=learning_rate)


def engines(
    learning_rate: float = 0.0, lora: bool = False, max_grad_norm: float = 1e9, **changes: object
) -> tuple[Engine, Engine]:
    """The engines of a policy and a value model, alike every time."""
    policy, value = modules(lora, **changes)
    given = {"optimizer": sgd(learning_rate), "max_grad_norm": max_grad_norm}
    return Engine(policy, **given), Engine(value, **given)


def experience(policy: Engine, value: Engine, shift: float = 0.3, sampler_shift: float = 0.0) -> Experience:
    """Eight episodes of very unequal lengths, off by `shift` from the policy that learns from them.

    The sampler found every token as much less likely than training as `sampler_shift` says.
    """
    torch.manual_seed(1)
    prompts = [torch.randint(3, VOCABULARY, (3 + row,)).tolist() for row in range(len(LENGTHS))]
    completions = [torch.randint(3, VOCABULARY, (length,)).tolist() for length in LENGTHS]
    sequences = as_sequences(prompts, completions, 0)
    inputs = (sequences.input_ids, sequences.prompt_lengths, sequences.lengths)
    logprobs, entropy = policy.ask(*inputs, True)
    mask = sequences.mask
    noise = shift * torch.randn(mask.shape) * mask
    values = value.ask(*inputs)
    return Experience(
        *inputs,
        ended=torch.ones(len(LENGTHS), dtype=torch.bool),
        valid=torch.ones(len(LENGTHS), dtype=torch.bool),
        scores=torch.zeros(len(LENGTHS)),
        sampler_logprobs=logprobs + noise - sampler_shift * mask,
        old_logprobs=logprobs + noise,
        reference_logprobs=logprobs,
        values=values + noise,
        entropy=entropy,
        advantages=torch.randn(mask.shape) * mask,
        returns=torch.randn(mask.shape) * mask,
    )


def moved(settings: UpdateSettings, batch: Experience | None = None) -> list[torch.Tensor]:
    """Weights of both models after an update at learning rate 1."""
    policy, value = engines(learning_rate=1.0)
    batch = experience(policy, value) if batch is None else batch
    Updater(policy, value, settings).update(batch, ALL, (0,), kl_coefficient=0.5)
    return [weight.detach() for engine in (policy, value) for weight in engine.module.parameters()]


@pytest.mark.parametrize("aggregation", ["token_mean", "seq_mean_token_mean", "seq_mean_token_sum_norm"])
@pytest.mark.parametrize("cut", [{"rows": 1}, {"rows": 2}, {"rows": 4}, {"tokens": 60}])
def test_microbatches_do_not_change_the_step(aggregation: str, cut: dict[str, int]) -> None:
    """trl#583, trl#2175, trl#2617; earlier code took means per microbatch, verl's of the value loss too."""
    settings = replace(SETTINGS, aggregation=aggregation)
    whole, parts = moved(settings), moved(replace(settings, **cut))
    assert not any(torch.equal(one, other) for one, other in zip(whole, initial(), strict=True))
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def initial() -> list[torch.Tensor]:
    return [weight.detach() for engine in engines() for weight in engine.module.parameters()]


@pytest.mark.parametrize(
    ("shift", "factor"), [(0.0, 1.0), (0.4, math.exp(0.4)), (3.0, 2.0), (-1.0, math.exp(-1))]
)
def test_what_the_sampler_found_less_likely_weighs_more(shift: float, factor: float) -> None:
    """T17: the policy's gradient is the factor times that without a difference, the value's as it was."""
    policy, value = engines()
    steps = [
        [after - before for after, before in zip(moved(settings, batch), initial(), strict=True)]
        for settings, batch in (
            (SETTINGS, experience(policy, value, sampler_shift=shift)),
            (replace(SETTINGS, importance_cap=None), experience(policy, value, sampler_shift=shift)),
        )
    ]
    learnt = len(list(engines()[0].module.parameters()))
    for number, (weighted, plain) in enumerate(zip(*steps, strict=True)):
        expected = plain * (factor if number < learnt else 1.0)
        torch.testing.assert_close(weighted, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("estimator", ["k2", "k3"])
def test_a_kl_in_the_loss_pulls_towards_the_reference(estimator: str) -> None:
    """With nothing to gain, the step is that of the estimate's mean over all tokens, differentiated whole."""
    policy, value = engines(learning_rate=0.1)
    given = experience(policy, value)
    mask = given.mask
    apart = 0.5 * torch.randn(mask.shape) * mask
    given = replace(
        given, advantages=torch.zeros(mask.shape), reference_logprobs=given.reference_logprobs - apart
    )
    logprobs, _ = policy.module(given.input_ids, given.prompt_lengths, given.lengths)
    ratio = logprobs - given.reference_logprobs
    each = ratio**2 / 2 if estimator == "k2" else (-ratio).exp() - 1 + ratio
    weights = list(policy.module.parameters())
    expected = torch.autograd.grad(0.7 * each[mask].mean(), weights)
    before = [weight.detach().clone() for weight in weights]

    updater = Updater(policy, value, replace(SETTINGS, kl_in_loss=estimator))
    updater.update(given, [(1.0, 0.0)], (0,), kl_coefficient=0.7)

    for weight, old, gradient in zip(weights, before, expected, strict=True):
        torch.testing.assert_close(old - weight.detach(), 0.1 * gradient, rtol=1e-4, atol=1e-7)
    assert max(gradient.abs().max() for gradient in expected) > 1e-3


@pytest.mark.parametrize("kl_in_loss", [None, "k2", "k3"])
def test_padding_and_invalid_episodes_change_nothing(kl_in_loss: Literal["k2", "k3"] | None) -> None:
    """T4: whatever stands outside of the completions that count, to the bit."""
    settings = replace(SETTINGS, kl_in_loss=kl_in_loss)
    policy, value = engines()
    clean = experience(policy, value)
    valid = torch.ones(len(LENGTHS), dtype=torch.bool)
    valid[3] = False
    clean = replace(clean, valid=valid)
    outside, ends = ~clean.mask, clean.prompt_lengths + clean.lengths
    is_padding = torch.arange(clean.input_ids.shape[1]) >= ends[:, None]
    names = ("sampler_logprobs", "old_logprobs", "reference_logprobs", "values", "advantages", "returns")
    poisoned = replace(
        clean,
        input_ids=clean.input_ids.masked_fill(is_padding, VOCABULARY - 1),
        **{name: getattr(clean, name).masked_fill(outside, torch.nan) for name in names},
    )
    for one, other in zip(moved(settings, clean), moved(settings, poisoned), strict=True):
        assert torch.equal(one, other)


def test_every_minibatch_is_one_optimiser_step_at_a_rate_of_its_own() -> None:
    """trl#5645: minibatches added no steps. Earlier code set the rate once per rollout."""
    policy, value = engines(learning_rate=1e-3)
    settings = replace(SETTINGS, epochs=3, minibatches=2, rows=1)
    shares = [(1 - step / 10, 1 - step / 20) for step in range(6)]
    stats = Updater(policy, value, settings).update(experience(policy, value), shares, (0,))
    rates = [engine.optimizer.param_groups[0]["lr"] for engine in (policy, value)]
    assert rates == pytest.approx([0.5e-3, 0.75e-3])
    assert len(stats.policy_steps) == len(stats.value_steps) == 6
    assert all(step.taken and step.grad_norm > 0 for step in stats.policy_steps)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_nothing_has_changed_before_the_first_step(dropout: float) -> None:
    policy, value = engines(attention_dropout=dropout)
    batch = experience(policy, value, shift=0.0)
    stats = Updater(policy, value, replace(SETTINGS, rows=1)).update(batch, ALL, (0,))
    assert stats.sums["policy/ratio"] / sum(LENGTHS) == pytest.approx(1, abs=1e-6)
    assert stats.sums[APPROX_KL] / sum(LENGTHS) <= 1e-9
    assert stats.sums["policy/clip_fraction"] == 0


def test_an_update_stops_where_the_policy_has_gone_too_far() -> None:
    policy, value = engines(learning_rate=1e-3)
    settings = replace(SETTINGS, epochs=4, stop_kl=1e-3)
    stats = Updater(policy, value, settings).update(experience(policy, value), ALL, (0,))
    assert stats.is_stopped
    assert len(stats.policy_steps) == 1


def test_a_gradient_that_is_not_finite_moves_nothing_and_is_counted() -> None:
    policy, value = engines(learning_rate=1.0)
    batch = experience(policy, value)
    advantages = batch.advantages.clone()
    advantages[1, 3] = torch.inf
    before = copy.deepcopy(policy.module.state_dict())
    stats = Updater(policy, value, SETTINGS).update(replace(batch, advantages=advantages), ALL, (0,))
    assert [step.taken for step in stats.policy_steps] == [False]
    assert [step.taken for step in stats.value_steps] == [True]
    assert all(torch.equal(before[name], now) for name, now in policy.module.state_dict().items())


def test_without_a_share_only_the_value_model_learns() -> None:
    policy, value = engines(learning_rate=1.0)
    before = copy.deepcopy(policy.module.state_dict())
    stats = Updater(policy, value, SETTINGS).update(experience(policy, value), [(None, 1.0)], (0,))
    assert isinstance(stats, UpdateStats) and not stats.policy_steps and len(stats.value_steps) == 1
    assert all(torch.equal(before[name], now) for name, now in policy.module.state_dict().items())


def test_microbatches_hold_every_row_once_and_few_tokens() -> None:
    sizes = [5, 30, 7, 7, 12, 3, 30, 1]
    batches = microbatches(sizes, range(8), tokens=36, most=3)
    assert sorted(row for batch in batches for row in batch) == list(range(8))
    assert all(len(batch) * max(sizes[row] for row in batch) <= 36 or len(batch) == 1 for batch in batches)
    assert all(len(batch) <= 3 for batch in batches)


def test_microbatches_have_few_shapes() -> None:
    """A CPU compiles a bf16 product for every shape: sizes that differ little give the same."""
    batches = microbatches(range(1, 257), range(256), tokens=512)
    shapes = {(len(batch), rounded_up(batch[0] + 1, WIDTH_STEP)) for batch in batches}
    assert len(batches) > 64 and len(shapes) < 0.7 * len(batches)
    assert all(len(batch) % ROWS_STEP == 0 for batch in batches[:-1] if len(batch) > ROWS_STEP)


def test_two_lanes_take_the_same_step() -> None:
    before, weights = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        policy, value = engines(learning_rate=0.1)
        Updater(policy, value, SETTINGS).update(experience(policy, value), ALL, (0,))
        weights.append([*policy.module.parameters(), *value.module.parameters()])
    torch.set_num_threads(before)
    for one, two in zip(*weights, strict=True):
        torch.testing.assert_close(one, two)
