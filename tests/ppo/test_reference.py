"""The reference of a policy with an adapter is the policy without it: T11 of the specification."""

import copy
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from align.ppo.collect import Reference
from align.ppo.forward import CompletionLogprobs
from align.ppo.rollout import as_sequences
from align.runtime.engine import STATE, Engine

FORBIDDEN = torch.zeros(41, dtype=torch.bool)
SEQUENCES = as_sequences([[5, 6, 7], [8]], [[9, 10, 2], [11, 12, 13, 2]], 0)
INPUTS = (SEQUENCES.input_ids, SEQUENCES.prompt_lengths, SEQUENCES.lengths)


@pytest.fixture
def policy() -> Engine:
    """A policy whose adapter has been trained for a few steps."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 41, "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2)).eval()
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    return Engine(
        CompletionLogprobs(adapted.eval(), 1.0, FORBIDDEN),
        lambda weights: torch.optim.AdamW(weights, lr=1e-2),
        max_grad_norm=1.0,
    )


def train(policy: Engine, steps: int) -> None:
    for _ in range(steps):
        with policy.microbatch(is_last=True):
            policy.backward(-policy(*INPUTS)[0].sum())
        policy.step(1.0)


def test_it_is_a_frozen_copy_that_stays_what_it_was(policy: Engine) -> None:
    base = copy.deepcopy(policy.module.model).unload()
    frozen = CompletionLogprobs(base.eval(), 1.0, FORBIDDEN)
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    reference = Reference(policy, None)

    train(policy, 5)

    expected, _ = frozen(*INPUTS)
    with reference.asking():
        torch.testing.assert_close(reference.logprobs(*INPUTS), expected, atol=1e-6, rtol=0)
    assert (policy.ask(*INPUTS)[0] - expected).abs().max() > 0.1
    kept = policy.module.model.get_base_model().state_dict()
    for name, weight in before.items():
        now = kept.get(name, kept.get(name.replace(".weight", ".base_layer.weight")))
        assert now is not None and torch.equal(now, weight)


def test_the_adapter_is_on_again_after_an_error(policy: Engine) -> None:
    train(policy, 3)
    before, _ = policy.ask(*INPUTS)
    trained = [weight.requires_grad for weight in policy.module.parameters()]
    reference = Reference(policy, None)
    with pytest.raises(IndexError), reference.asking():
        reference.logprobs(INPUTS[0] + 1000, *INPUTS[1:])
    assert torch.equal(policy.ask(*INPUTS)[0], before)
    assert [weight.requires_grad for weight in policy.module.parameters()] == trained


def test_only_the_adapter_is_saved_and_restored(policy: Engine, tmp_path: Path) -> None:
    train(policy, 2)
    policy.save(tmp_path)
    assert all("lora" in name for name in torch.load(tmp_path / STATE)["weights"])
    before, _ = policy.ask(*INPUTS)
    train(policy, 2)
    assert not torch.equal(policy.ask(*INPUTS)[0], before)
    policy.load(tmp_path)
    assert torch.equal(policy.ask(*INPUTS)[0], before)
