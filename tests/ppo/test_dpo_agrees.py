"""DPO and PPO have one solution: on the sentences of the toy both find it, each in its own way (T13).

That the trainer's loss is the one below is shown in `tests/training/test_dpo_losses.py`.
"""

import itertools

import torch
from torch.nn.functional import logsigmoid

from tests.ppo.test_learns_toys import (
    COEFFICIENT,
    SEEDS,
    SEQUENCE,
    Runs,
    Sentences,
    learn,
    real,
    sentence_logprobs,
    total_variation,
)

SCORES = real([0.0, 1.5, 0.5, 1.0, 0.5, -0.5, 0.0])  # of E, aa, ab, aE, ba, bb, bE
BEST = real(SEQUENCE["outputs"]["pi_star"])
REFERENCE = real(SEQUENCE["outputs"]["ref_seq"])
PAIRS = torch.tensor([*itertools.combinations(range(len(SCORES)), 2)])
SAMPLED = 20_000


def solution(first: torch.Tensor, second: torch.Tensor, preferred: torch.Tensor) -> torch.Tensor:
    """Probabilities of the sentences once DPO has learnt how often the first of each pair is preferred."""
    toy = Sentences()
    logits = toy.reference.expand(1, toy.states, -1).clone().requires_grad_()
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        ratios = COEFFICIENT * (sentence_logprobs(logits.log_softmax(-1))[0] - REFERENCE.log())
        margin = ratios[first] - ratios[second]
        mean = -(preferred * logsigmoid(margin) + (1 - preferred) * logsigmoid(-margin)).mean()
        mean.backward()
        return mean

    optimizer.step(loss)
    return sentence_logprobs(logits.detach().log_softmax(-1))[0].exp()


def exhaustive() -> torch.Tensor:
    first, second = PAIRS.unbind(1)
    return solution(first, second, (SCORES[first] - SCORES[second]).sigmoid())


def test_with_every_pair_and_how_often_it_is_preferred_the_best_policy_is_found() -> None:
    """TV <= .01; it is not what it began with."""
    assert total_variation(REFERENCE, BEST) > 0.3
    assert total_variation(exhaustive(), BEST) <= 0.01


def test_with_sampled_pairs_of_one_answer_each_it_is_found_nearly() -> None:
    """TV <= .03 on every seed."""
    for seed in SEEDS:
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.multinomial(REFERENCE, 2 * SAMPLED, replacement=True, generator=generator)
        first, second = drawn.view(2, SAMPLED)
        chance = torch.rand(SAMPLED, generator=generator, dtype=torch.float64)
        preferred = (chance < (SCORES[first] - SCORES[second]).sigmoid()).double()
        assert total_variation(solution(first, second, preferred), BEST) <= 0.03


def test_ppo_finds_the_same() -> None:
    """TV <= .04 on every seed."""
    logprobs, _ = learn(Sentences(), Runs(SEEDS, [0.95] * 3, is_whitened=True))
    assert (total_variation(sentence_logprobs(logprobs).exp(), exhaustive()) <= 0.04).all()
