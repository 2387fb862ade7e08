"""One normaliser for all microbatches and processes: how rows are split changes nothing (T6, T7)."""

from collections.abc import Sequence

import pytest
import torch

from align.ppo.advantage import completion_mask
from align.ppo.loss import Aggregation, aggregate, normaliser, policy_loss, value_loss
from tests.ppo.conftest import GOLDEN, Draw, same

HOWS: tuple[Aggregation, ...] = ("token_mean", "seq_mean_token_mean", "seq_mean_token_sum_norm")
SPLITS = {
    "1": [[row] for row in range(8)],
    "2": [[0, 1], [2, 3], [4, 5], [6, 7]],
    "4": [[0, 1, 2, 3], [4, 5, 6, 7]],
    "8": [list(range(8))],
    "token budget": [[0], [4], [5, 2], [7, 3, 1, 6]],
}


def test_parts_give_the_golden_numbers(precision: tuple[torch.dtype, float]) -> None:
    """T1, T6: three microbatches of one row; the mean of their means is 5.33 where 4 is right."""
    dtype, atol = precision
    golden = GOLDEN["loss_aggregation"]
    tokens = torch.tensor(golden["inputs"]["tokens"], dtype=dtype)
    mask = torch.tensor(golden["inputs"]["mask"]).bool()
    outputs = golden["outputs"]
    names = {"seq_mean_token_sum_norm": "seq_mean_token_sum_norm_T3"}
    for how in HOWS:
        count = normaliser(mask, how, 3)
        assert count.dtype == torch.int64
        whole = aggregate(tokens, mask, how, count)
        parts = [aggregate(tokens[row : row + 1], mask[row : row + 1], how, count) for row in range(3)]
        assert whole.dtype == dtype
        same(whole, outputs[names.get(how, how)], atol)
        same(torch.stack(parts).sum(), outputs[names.get(how, how)], atol)
        if how == "token_mean":
            same(torch.stack(parts), outputs["microbatch_terms_over_N6"], atol)

    wrong = [
        aggregate(tokens[row : row + 1], mask[row : row + 1], "token_mean", mask[row].sum())
        for row in range(3)
    ]
    same(torch.stack(wrong).mean(), outputs["WRONG_mean_of_microbatch_means"], atol)
    assert outputs["token_mean"] == 4 and outputs["WRONG_mean_of_microbatch_means"] > 5.3


@pytest.mark.parametrize("how", HOWS)
def test_aggregates_are_explicit_sums(how: Aggregation, mask: torch.Tensor, draw: Draw) -> None:
    """T1: row by row over lists; a row without a token, as for a score that is NaN, is no sequence."""
    mask[3] = False
    tokens = draw()
    rows = [tokens[row][mask[row]].tolist() for row in range(8) if mask[row].any()]
    expected = {
        "token_mean": sum(map(sum, rows)) / sum(map(len, rows)),
        "seq_mean_token_mean": sum(sum(row) / len(row) for row in rows) / len(rows),
        "seq_mean_token_sum_norm": sum(map(sum, rows)) / (len(rows) * 11),
    }[how]
    assert aggregate(tokens, mask, how, normaliser(mask, how, 11)).item() == pytest.approx(expected)


def gradient(
    draws: Sequence[torch.Tensor],
    mask: torch.Tensor,
    how: Aggregation,
    parts: Sequence[Sequence[int]],
    mean_of_means: bool = False,
) -> torch.Tensor:
    """Of policy and value loss with respect to a small float32 network, accumulated over microbatches."""
    inputs, old, advantages, old_values, returns = (tensor.float() for tensor in draws)
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(1, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2))
    count = normaliser(mask, how, 11)
    for part in parts:
        logprobs, values = network(inputs[part][..., None]).unbind(-1)
        real = mask[part]
        policy = policy_loss(logprobs, old[part], advantages[part], 0.2, 0.2, mask=real).per_token
        value = value_loss(values, old_values[part], returns[part], 0.2, real).per_token
        used = normaliser(real, how, 11) * len(parts) if mean_of_means else count
        aggregate(policy + 0.1 * value, real, how, used).backward()
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("how", HOWS)
def test_gradients_do_not_depend_on_the_split(how: Aggregation, mask: torch.Tensor, draw: Draw) -> None:
    """T6: relative difference at most 1e-5; a process's rows are one more level of the same sum (T7)."""
    draws = [draw() for _ in range(5)]
    whole = gradient(draws, mask, how, SPLITS["8"])
    for name, parts in SPLITS.items():
        assert distance(gradient(draws, mask, how, parts), whole) <= 1e-5, name


def test_a_mean_of_means_has_another_gradient(mask: torch.Tensor, draw: Draw) -> None:
    """T6 has teeth: dividing each microbatch by its own tokens is off by more than a tenth."""
    draws = [draw() for _ in range(5)]
    whole = gradient(draws, mask, "token_mean", SPLITS["8"])
    for name in ("1", "2", "token budget"):
        wrong = gradient(draws, mask, "token_mean", SPLITS[name], mean_of_means=True)
        assert distance(wrong, whole) > 0.1, name


@pytest.mark.parametrize("how", HOWS)
def test_shares_of_processes_add_up(how: Aggregation, mask: torch.Tensor) -> None:
    """T7: unequal lengths per process; padding to another width changes no share."""
    shares = [normaliser(mask[rows], how, 11) for rows in SPLITS["token budget"]]
    assert sum(shares) == normaliser(mask, how, 11)
    wider = completion_mask(mask.sum(1), 20)
    assert normaliser(wider, how, 11) == normaliser(mask, how, 11)


@pytest.mark.parametrize("how", HOWS)
def test_a_step_without_a_real_token_is_zero_and_not_nan(how: Aggregation) -> None:
    """PPO.md 1.2.6: every score of a minibatch may be invalid."""
    mask = torch.zeros(2, 3, dtype=torch.bool)
    tokens = torch.full((2, 3), torch.nan, requires_grad=True)
    loss = aggregate(tokens, mask, how, normaliser(mask, how, 3))
    loss.backward()
    assert loss == 0
    assert tokens.grad is not None and not tokens.grad.any()
