"""Masks, rewards, advantages and whitening against golden numbers and explicit sums."""

import pytest
import torch

from align.ppo.advantage import (
    completion_mask,
    generalized_advantage,
    moments,
    scale_only,
    token_rewards,
    whiten,
)
from tests.ppo.conftest import GOLDEN, LENGTHS, Draw, Total, over_processes, same

GAE = GOLDEN["gae"]
PAIRS = {"g1_l1": (1.0, 1.0), "g1_l0.95": (1.0, 0.95), "g1_l0": (1.0, 0.0), "g0.9_l0.8": (0.9, 0.8)}
HOLES = ((0, 3), (2, 1), (5, 4), (5, 5), (7, 0))  # tool output inside a completion, or at its beginning


def test_the_mask_is_true_on_the_first_tokens() -> None:
    """PPO.md decision 1, T5: from lengths, never from ids."""
    assert completion_mask(torch.tensor([2, 3, 1]), 3).long().tolist() == [[1, 1, 0], [1, 1, 1], [1, 0, 0]]


def test_the_score_lands_on_the_last_token(mask: torch.Tensor, draw: Draw) -> None:
    """trl#3750, DeepSpeedExamples#672, T5: on column n - 1, also of a completion that fills its width.

    Nothing is on padding.
    """
    kl, score = draw(), draw()[:, 0]
    for width in (9, 11):
        found = token_rewards(score, kl[:, :width], mask[:, :width], 0.3)
        for row, length in enumerate(LENGTHS.tolist()):
            expected = [-0.3 * kl[row, t].item() for t in range(length)] + [0.0] * (width - length)
            expected[length - 1] += score[row].item()
            assert found[row].tolist() == pytest.approx(expected, abs=1e-12)


def test_the_score_lands_before_trailing_tool_output_and_invalid_rows_get_none() -> None:
    """miles#1827; PPO.md 1.2.6: a row that is masked out has no reward, even if its score is NaN."""
    mask = torch.tensor([[True, False, True, False], [False] * 4])
    found = token_rewards(torch.tensor([2.0, torch.nan]), torch.ones(2, 4), mask, 0.1)
    same(found, [[-0.1, 0, 1.9, 0], [0, 0, 0, 0]], 1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_advantages_give_the_golden_numbers(name: str, precision: tuple[torch.dtype, float]) -> None:
    """T1; ROLL#447: the value 99 stands in padding."""
    dtype, atol = precision
    rewards, values = (torch.tensor(GAE["inputs"][key], dtype=dtype) for key in ("rewards", "values"))
    mask = torch.tensor(GAE["inputs"]["mask"]).bool()
    advantages, returns = generalized_advantage(rewards, values, mask, *PAIRS[name])
    assert advantages.dtype == returns.dtype == dtype
    same(advantages, GAE["outputs"][name]["adv"], atol)
    same(returns, GAE["outputs"][name]["ret"], atol)


def test_holes_and_bootstrap_give_the_golden_numbers(precision: tuple[torch.dtype, float]) -> None:
    """T1."""
    dtype, atol = precision

    def found(case: str) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = GAE["inputs"][case]
        rewards, values = (torch.tensor(inputs[key], dtype=dtype) for key in ("rewards", "values"))
        bootstrap = torch.tensor(inputs["boot"], dtype=dtype) if "boot" in inputs else None
        mask = torch.tensor(inputs["mask"]).bool()
        return generalized_advantage(rewards, values, mask, inputs["gamma"], inputs["lam"], bootstrap)

    advantages, returns = found("hole")
    same(advantages, GAE["outputs"]["hole_adv"], atol)
    same(returns, GAE["outputs"]["hole_ret"], atol)
    same(found("truncated_bootstrap")[0], GAE["outputs"]["truncated_bootstrap_adv"], atol)


@pytest.mark.parametrize("name, gae_lambda", [("lam1", 1.0), ("lam0_95", 0.95)])
def test_a_score_after_the_end_is_one_more_position(
    name: str, gae_lambda: float, precision: tuple[torch.dtype, float]
) -> None:
    """T1: Huang et al. 2024 pay at the first padding and train the value there (0.2): a mask up to it."""
    dtype, atol = precision
    rewards, values = torch.tensor([[[0, 0, 0, 1.0]], [[0.5, 0.6, 0.7, 0.2]]], dtype=dtype)
    found, _ = generalized_advantage(rewards, values, torch.ones(1, 4, dtype=torch.bool), 1.0, gae_lambda)
    same(found[0], GAE["outputs"][f"trl_nplus_adv_{name}"], atol)


@pytest.mark.parametrize("gamma, gae_lambda", [*PAIRS.values(), (0.7, 0.3)])
@pytest.mark.parametrize("has_bootstrap", [False, True])
def test_advantages_are_discounted_sums_of_td_errors(
    gamma: float, gae_lambda: float, has_bootstrap: bool, mask: torch.Tensor, draw: Draw
) -> None:
    """Schulman et al. 2016, eq. 16, as the explicit double sum over the tokens that the policy chose."""
    for row, column in HOLES:
        mask[row, column] = False
    rewards, values, bootstrap = draw(), draw(), draw()[:, 0]

    advantages, returns = generalized_advantage(
        rewards, values, mask, gamma, gae_lambda, bootstrap if has_bootstrap else None
    )

    for row in range(len(mask)):
        chosen = mask[row].nonzero()[:, 0].tolist()
        v = [*values[row, chosen].tolist(), bootstrap[row].item() if has_bootstrap else 0.0]
        td = [rewards[row, column].item() + gamma * v[k + 1] - v[k] for k, column in enumerate(chosen)]
        for k, column in enumerate(chosen):
            expected = sum((gamma * gae_lambda) ** (j - k) * td[j] for j in range(k, len(td)))
            assert advantages[row, column].item() == pytest.approx(expected, abs=1e-12)
            assert returns[row, column].item() == pytest.approx(expected + v[k], abs=1e-12)
    assert not advantages[~mask].any() and not returns[~mask].any()


def test_the_inputs_stay_as_they_are(mask: torch.Tensor, draw: Draw) -> None:
    rewards, values, bootstrap = draw(), draw(), draw()[:, 0]
    before = [tensor.clone() for tensor in (rewards, values, bootstrap)]
    generalized_advantage(rewards, values, mask, 1.0, 0.95, bootstrap)
    whiten(values, mask)
    assert all(map(torch.equal, before, (rewards, values, bootstrap)))


def test_whitening_gives_the_golden_numbers(precision: tuple[torch.dtype, float]) -> None:
    """T1: population variance; earlier code corrected it as Bessel does, or took it per process."""
    dtype, atol = precision
    inputs, outputs = GOLDEN["masked_whiten"]["inputs"], GOLDEN["masked_whiten"]["outputs"]
    values, mask = torch.tensor(inputs["x"], dtype=dtype), torch.tensor(inputs["mask"]).bool()

    mean, variance = moments(values, mask)
    assert (mean.item(), variance.item()) == (outputs["mean"], outputs["var_pop"])
    found = whiten(values, mask)
    assert found.dtype == dtype
    same(found, outputs["whiten"], atol)
    same(scale_only(values, mask), outputs["whiten_no_shift"], atol)
    assert not torch.allclose(found.double(), torch.tensor(outputs["whiten_bessel"]).double(), atol=1e-3)


@pytest.mark.parametrize("function", [whiten, scale_only])
def test_whitening_is_over_all_processes(function, mask: torch.Tensor, draw: Draw) -> None:
    """T7: earlier code whitened per process; here one process has a single token, and another none."""
    values = draw() + torch.arange(8.0)[:, None]
    mask[5:] = False
    parts = [slice(0, 1), slice(1, 2), slice(2, 5), slice(5, 8)]

    def one(process: int, total: Total) -> torch.Tensor:
        return function(values[parts[process]], mask[parts[process]], total=total)

    found = torch.cat(over_processes(one, len(parts)))
    same(found, function(values, mask), 1e-12)
    alone = torch.cat([function(values[part], mask[part]) for part in parts])
    assert (found - alone).abs().max() > 0.1


def test_whitened_values_have_mean_0_and_variance_1(mask: torch.Tensor, draw: Draw) -> None:
    """Recomputed on the plain list of real tokens; trlx counted padding, too."""
    values = 3 * draw() + 7
    real = values[mask].numpy()
    same(whiten(values, mask)[mask], (real - real.mean()) / (real.var() + 1e-8) ** 0.5, 1e-12)
    scaled = scale_only(values, mask)
    same(scaled[mask], (real - real.mean()) / (real.var() + 1e-8) ** 0.5 + real.mean(), 1e-12)
    assert not whiten(values, mask)[~mask].any() and not scaled[~mask].any()


@pytest.mark.parametrize("value", [0.0, 0.1, -3e5])
@pytest.mark.parametrize("tokens", [0, 1, 53])
def test_values_that_do_not_vary_become_zeros(value: float, tokens: int) -> None:
    """Earlier code, with Bessel's correction, raised at no token and gave NaN at one; scaled ones stay."""
    for dtype in (torch.float32, torch.float64):
        values, mask = torch.full((1, 60), value, dtype=dtype), torch.arange(60)[None] < tokens
        assert not whiten(values, mask).any()
        same(scale_only(values, mask), values.where(mask, 0), 1e-9)


def test_sums_are_accumulated_in_float64() -> None:
    """The sum of these values in float32 is known to 1024 only, their mean to 0.1."""
    generator = torch.Generator().manual_seed(0)
    values = 1e6 + torch.randint(0, 8, (1, 9973), generator=generator).float()
    real = values.double().numpy()
    same(whiten(values, values > 0), (real - real.mean()) / (real.var() + 1e-8) ** 0.5, 1e-6)
