"""T5: what ends a completion, whichever ids stand in it and in its prompt.

Where it was read off token ids, padding and a stop token in a prompt were taken for one.
"""

import pytest
import torch

from align.ppo.advantage import token_rewards
from align.ppo.loss import aggregate, policy_loss
from align.ppo.rollout import as_sequences
from align.ppo.shaping import Shaping, shaped_scores
from tests.ppo.test_update import engines

PAD, STOP, MOST = 0, 2, 5
# what it is: (prompt, completion, whether a stop token ended it)
CASES = {
    "stops at once": ([3, 4], [STOP], True),
    "stops midway": ([3, 4, 5], [5, 6, STOP], True),
    "stops at the limit": ([3], [5, 6, 7, 8, STOP], True),
    "is cut off": ([3, 4], [5, 6, 7, 8, 9], False),
    "says the padding id": ([3, 4], [5, PAD, 6, STOP], True),
    "was asked with the stop id": ([3, STOP, PAD, 4], [5, STOP], True),
}
PROMPTS, COMPLETIONS, ENDED = ([case[column] for case in CASES.values()] for column in range(3))


@pytest.fixture
def sequences():
    return as_sequences(PROMPTS, COMPLETIONS, PAD)


def test_every_token_that_was_said_counts_and_no_other(sequences) -> None:
    """trl#5303: as padding EOS was masked out. In earlier code a padding id that was said ended a row."""
    assert sequences.mask.sum(dim=1).tolist() == [len(said) for said in COMPLETIONS]
    for row, said in enumerate(COMPLETIONS):
        start = len(PROMPTS[row])
        assert sequences.input_ids[row, start : start + len(said)].tolist() == said


def test_the_score_is_paid_on_the_last_token_and_only_a_cut_off_answer_is_fined(sequences) -> None:
    """trl#3750: it was paid a column later, on padding."""
    scores = torch.arange(1.0, len(CASES) + 1)
    shaping = Shaping(max_new_tokens=MOST, missing_eos="replace", missing_eos_value=-1.0)
    shaped = shaped_scores(scores, sequences.lengths, torch.tensor(ENDED), shaping)
    rewards = token_rewards(shaped, torch.zeros(sequences.mask.shape), sequences.mask, 0.1)

    for row, (said, ended) in enumerate(zip(COMPLETIONS, ENDED, strict=True)):
        expected = [0.0] * sequences.mask.shape[1]
        expected[len(said) - 1] = scores[row].item() if ended else -1.0
        assert rewards[row].tolist() == expected


def test_the_token_that_ends_an_answer_is_learnt(sequences) -> None:
    """Its gradient is not zero, nor is that of a padding id that was said; padding itself has none."""
    policy = engines()[0].module
    logprobs, _ = policy(sequences.input_ids, sequences.prompt_lengths, sequences.lengths)
    advantages = torch.ones_like(logprobs)
    found = policy_loss(logprobs, logprobs.detach(), advantages, 0.2, 0.2, mask=sequences.mask)
    loss = aggregate(found.per_token, sequences.mask, "token_mean", sequences.mask.sum())
    (gradient,) = torch.autograd.grad(loss, logprobs)
    assert torch.equal(gradient != 0, sequences.mask)


def test_rewarding_the_end_makes_it_likelier(sequences) -> None:
    policy = engines()[0].module
    at_end = torch.zeros_like(sequences.mask)
    for row, (said, ended) in enumerate(zip(COMPLETIONS, ENDED, strict=True)):
        at_end[row, len(said) - 1] = ended
    inputs = (sequences.input_ids, sequences.prompt_lengths, sequences.lengths)
    before, _ = policy(*inputs)
    found = policy_loss(before, before.detach(), at_end.float(), 0.2, 0.2, mask=sequences.mask)
    aggregate(found.per_token, sequences.mask, "token_mean", sequences.mask.sum()).backward()
    with torch.no_grad():
        for weight in policy.parameters():
            weight -= 0.1 * weight.grad
    after, _ = policy(*inputs)
    assert (after[at_end].mean() > before[at_end].mean()).item()
