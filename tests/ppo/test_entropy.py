"""The entropy bonus: its gradient is that of plain torch, and it keeps a policy from being sure."""

from dataclasses import replace

import pytest
import torch

from align.models.logprobs import SelectedLogprobs
from align.ppo.update import Updater
from tests.ppo.test_update import ALL, SETTINGS, engines, experience, moved


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("forbidden", [None, [3, 29]])
def test_gradients_are_those_of_plain_torch(temperature: float, forbidden: list[int] | None) -> None:
    """Rows beyond one block, in fp64 on the other side."""
    torch.manual_seed(0)
    count, vocabulary = 12_000, 30
    never = torch.zeros(vocabulary, dtype=torch.bool)
    never[forbidden or []] = True
    targets = torch.randint(4, 29, (count,))
    weigh, weigh_entropy = torch.randn(2, count)
    found = []
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(1)
        hidden, weight, bias = torch.randn(count, 8), torch.randn(vocabulary, 8), torch.randn(vocabulary)
        given = [tensor.to(dtype).requires_grad_() for tensor in (hidden, weight, bias)]
        if dtype == torch.float32:
            mask = never if forbidden else None
            logprobs, _, entropy = SelectedLogprobs.apply(*given, targets, temperature, mask, True)
            alone, _ = SelectedLogprobs.apply(*given, targets, temperature, mask)
            assert torch.equal(alone, logprobs)
        else:
            logits = (given[0] @ given[1].T + given[2]) / temperature
            whole = torch.distributions.Categorical(logits=logits.masked_fill(never, -1e9))
            logprobs, entropy = whole.log_prob(targets), whole.entropy()
        loss = (weigh * logprobs).sum() + (weigh_entropy * entropy).sum()
        found.append([logprobs, entropy, *torch.autograd.grad(loss, given)])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(
            ours.double(), plain, rtol=1e-4, atol=1e-4 * plain.detach().abs().max().item()
        )


@pytest.mark.parametrize("cut", [{"rows": 2}, {"tokens": 60}])
def test_microbatches_do_not_change_the_bonus(cut: dict[str, int]) -> None:
    settings = replace(SETTINGS, entropy_bonus=0.3)
    for one, other, without in zip(
        moved(settings), moved(replace(settings, **cut)), moved(SETTINGS), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
        assert one.shape == without.shape
    assert any(not torch.equal(a, b) for a, b in zip(moved(settings), moved(SETTINGS), strict=True))


def test_a_policy_that_is_paid_for_nothing_else_becomes_less_sure() -> None:
    policy, value = engines(learning_rate=0.5)
    batch = experience(policy, value, shift=0.0)
    batch = replace(batch, advantages=torch.zeros_like(batch.advantages))
    inputs = (batch.input_ids, batch.prompt_lengths, batch.lengths)

    def entropy() -> float:
        return float(policy.ask(*inputs, True)[1][batch.mask].mean())

    before, settings = entropy(), replace(SETTINGS, epochs=8, entropy_bonus=1.0)
    Updater(policy, value, replace(settings, entropy_bonus=None)).update(batch, ALL, (0,))
    assert entropy() == pytest.approx(before, abs=1e-6)
    Updater(policy, value, settings).update(batch, ALL, (0,))
    assert entropy() > before + 1e-4
