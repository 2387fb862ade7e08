"""T16: while the policy stays as it is, the value model comes to know what completions will score."""

from dataclasses import replace

import pytest
import torch

from align.ppo.advantage import generalized_advantage, token_rewards
from align.ppo.loss import explained_variance
from align.ppo.rollout import Experience, as_sequences
from align.ppo.update import Updater
from align.runtime.engine import Engine
from tests.ppo.test_update import SETTINGS, VOCABULARY, engines, modules

EPISODES, UPDATES = 32, 40


def rollout(policy: Engine, value: Engine, number: int) -> Experience:
    """Completions of a prompt whose first token tells the score, with values as they are now."""
    generator = torch.Generator().manual_seed(number)

    def tokens(least: int, most: int) -> list[int]:
        length = int(torch.randint(least, most, (1,), generator=generator))
        return torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()

    prompts = [[3 + row % 4, *tokens(1, 4)] for row in range(EPISODES)]
    sequences = as_sequences(prompts, [tokens(1, 9) for _ in range(EPISODES)], 0)
    inputs, mask = (sequences.input_ids, sequences.prompt_lengths, sequences.lengths), sequences.mask
    scores = torch.tensor([-2.0, -0.5, 1.0, 3.0])[sequences.input_ids[:, 0] - 3]
    nothing, values = torch.zeros(mask.shape), value.ask(*inputs)
    logprobs, _ = policy.ask(*inputs)
    advantages, returns = generalized_advantage(
        token_rewards(scores, nothing, mask, 0.0), values, mask, gamma=1.0, gae_lambda=1.0
    )
    return Experience(
        *inputs,
        ended=torch.ones(EPISODES, dtype=torch.bool),
        valid=torch.ones(EPISODES, dtype=torch.bool),
        scores=scores,
        sampler_logprobs=logprobs,
        old_logprobs=logprobs,
        reference_logprobs=logprobs,
        values=values,
        entropy=nothing,
        advantages=advantages,
        returns=returns,
    )


@pytest.mark.parametrize("clip", [None, 0.2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_will_be_scored_is_foreseen(clip: float | None, seed: int) -> None:
    policy, _ = engines()
    value = Engine(
        modules()[1], lambda weights: torch.optim.AdamW(weights, lr=3e-3, eps=1e-5), max_grad_norm=1.0
    )
    updater = Updater(policy, value, replace(SETTINGS, epochs=2, minibatches=2, value_clip_range=clip))
    explained = []
    for number in range(UPDATES + 1):
        batch = rollout(policy, value, 1000 * seed + number)
        explained.append(explained_variance(batch.values, batch.returns, batch.mask))
        if number < UPDATES:
            stats = updater.update(batch, [(None, 1.0)] * 4, (seed, number))
            assert all(step.taken for step in stats.value_steps)
    assert explained[0] < 0.5 and explained[-1] > 0.9, explained
