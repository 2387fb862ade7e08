"""KL estimators and controllers against golden numbers, explicit sums and exact gradients."""

import math

import pytest
import torch

from align.ppo.kl import ESTIMATORS, AdaptiveKl, Controller, FixedKl, k1, k2, k3, token_kl
from tests.ppo.conftest import GOLDEN, Draw, same


def test_estimators_give_the_golden_numbers(precision: tuple[torch.dtype, float]) -> None:
    """T1."""
    dtype, atol = precision
    golden = GOLDEN["kl_estimators"]
    logprobs, reference = (torch.tensor(golden["inputs"][name], dtype=dtype) for name in ("logp", "logq"))
    mask = torch.tensor(golden["inputs"]["mask"]).bool()

    for name in ESTIMATORS:
        found = token_kl(logprobs, reference, mask, name)
        assert found.dtype == dtype
        same(found, golden["outputs"][name], atol)
    same(token_kl(logprobs, reference, mask).sum(1), golden["outputs"]["seq_sum_k1"], atol)
    same(token_kl(logprobs, reference, mask, "k3").sum(1), golden["outputs"]["seq_sum_k3"], atol)


def test_estimators_are_their_formulas_token_by_token(mask: torch.Tensor, draw: Draw) -> None:
    """T1: recomputed with `math`, one token at a time."""
    logprobs, reference = draw(), draw()
    formulas = {"k1": lambda d: d, "k2": lambda d: d * d / 2, "k3": lambda d: math.exp(-d) - 1 + d}
    for name, formula in formulas.items():
        found = token_kl(logprobs, reference, mask, name)
        for row, column in mask.nonzero().tolist():
            d = logprobs[row, column].item() - reference[row, column].item()
            assert found[row, column].item() == pytest.approx(formula(d), abs=1e-12)
        assert not found[~mask].any()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_only_k1_in_the_reward_and_k2_in_the_loss_have_the_gradient_of_the_kl(name: str) -> None:
    """PPO.md decision 3, T1: as a detached reward, and as a term of the loss, summed over all actions."""
    golden = GOLDEN["kl_expected_gradients"]
    theta = torch.tensor(golden["inputs"]["theta"], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor(golden["inputs"]["q"], dtype=torch.float64).log()
    logprobs = theta.log_softmax(0)
    probabilities = logprobs.exp().detach()
    estimate = ESTIMATORS[name](logprobs, reference)

    (as_reward,) = torch.autograd.grad(
        (probabilities * estimate.detach() * logprobs).sum(), theta, retain_graph=True
    )
    (as_loss,) = torch.autograd.grad((probabilities * estimate).sum(), theta)

    outputs = golden["outputs"]
    same(as_reward, outputs["as_reward"][name], 1e-12)
    same(as_loss, outputs["as_loss"][name], 1e-12)
    exact = torch.tensor(outputs["grad_KL_pq"], dtype=torch.float64)
    assert torch.allclose(as_reward, exact, atol=1e-9) == (name == "k1")
    assert torch.allclose(as_loss, exact, atol=1e-9) == (name == "k2")


def test_only_k3_clamps_the_log_ratio() -> None:
    """Guards against an overflow of exp, and against a KL reward that is cut off (k1, k2)."""
    low, high = torch.tensor([[-500.0, 0.0]]), torch.tensor([[0.0, -500.0]])
    assert k1(low, high).tolist() == [[-500.0, 500.0]]
    assert k2(low, high).tolist() == [[125000.0, 125000.0]]
    assert k3(low, high)[0].tolist() == pytest.approx([math.exp(20) - 21, math.exp(-20) + 19], rel=1e-6)


def test_k3_does_not_cancel_near_zero() -> None:
    """T2: with exp(-d) - 1 + d in float32 the noise is 1e-7, above the 1e-9 that a first step must show."""
    d = torch.tensor([[1e-5, -1e-5, 3e-4]])
    expected = [x * x / 2 - x**3 / 6 for x in d.double()[0].tolist()]
    assert k3(d, torch.zeros_like(d))[0].tolist() == pytest.approx(expected, abs=1e-11)


def test_half_precision_is_widened_before_the_difference() -> None:
    logprobs, reference = torch.tensor([[-100.0]]).bfloat16(), torch.tensor([[-0.3]])
    assert k1(logprobs, reference).dtype == torch.float32
    same(k1(logprobs, reference), [[-99.7]], 1e-4)


def test_the_adaptive_coefficient_gives_the_golden_numbers() -> None:
    """T1."""
    golden = GOLDEN["adaptive_kl"]
    settings = golden["inputs"]
    controller = AdaptiveKl(settings["init"], settings["target"], settings["horizon"])
    found = []
    for kl, sequences in settings["sequence_kl_and_n"]:
        controller.update(kl, sequences)
        found.append(controller.coefficient)
    assert found == pytest.approx(golden["outputs"]["beta_after_each"], abs=1e-12)


def test_the_adaptive_coefficient_stays_within_its_bounds() -> None:
    controller = AdaptiveKl(0.1, target=2.0, horizon=100, lowest=0.05, highest=0.2)
    for kl, bound in ((math.inf, 0.2), (-1.0, 0.05)):
        for _ in range(100):
            controller.update(kl, 50)
        assert controller.coefficient == bound
    controller.update(math.nan, 50)
    assert controller.coefficient == 0.05


@pytest.mark.parametrize("make", [lambda: FixedKl(0.2), lambda: AdaptiveKl(0.2, target=6.0, horizon=100)])
def test_controllers_go_on_from_their_state(make) -> None:
    """T10: a resumed run has the coefficient it stopped with."""
    straight: Controller = make()
    stopped: Controller = make()
    resumed: Controller = make()
    for controller in (straight, stopped):
        controller.update(12.0, 10)
    resumed.restore(stopped.state())
    for controller in (straight, resumed):
        controller.update(7.0, 10)
    assert resumed.coefficient == straight.coefficient
    assert (straight.coefficient == 0.2) == isinstance(straight, FixedKl)


@pytest.mark.parametrize(
    "settings, word",
    [
        ({"target": 0.0, "horizon": 1.0}, "target"),
        ({"target": 1.0, "horizon": -1.0}, "horizon"),
        ({"target": math.nan, "horizon": 1.0}, "target"),
        ({"target": 1.0, "horizon": 1.0, "highest": 0.1}, "highest"),
    ],
)
def test_impossible_controllers_are_refused(settings: dict[str, float], word: str) -> None:
    """PPO.md 1.3: the guard."""
    with pytest.raises(ValueError, match=word):
        AdaptiveKl(0.2, **settings)
