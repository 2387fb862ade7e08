"""Score shaping against golden numbers and one completion at a time."""

from typing import Any

import pytest
import torch

from align.ppo.advantage import token_rewards
from align.ppo.shaping import (
    Shaping,
    clipped,
    normalised,
    overlong_penalty,
    shaped_scores,
    with_missing_eos,
)
from tests.ppo.conftest import GOLDEN, same

SHAPINGS = {
    "plain": Shaping(),
    "clip5_replace_m1": Shaping(clip=5.0, missing_eos="replace", missing_eos_value=-1.0),
    "clip5_subtract_1": Shaping(clip=5.0, missing_eos="subtract", missing_eos_value=1.0),
    "overlong_max4_buf2_f1": Shaping(max_new_tokens=4, overlong_buffer=2, overlong_factor=1.0),
}


@pytest.mark.parametrize("name", SHAPINGS)
def test_rewards_give_the_golden_numbers(name: str, precision: tuple[torch.dtype, float]) -> None:
    """T1, T5: shaped, then put on the last generated token together with the KL penalty."""
    dtype, atol = precision
    inputs, outputs = GOLDEN["reward_assembly"]["inputs"], GOLDEN["reward_assembly"]["outputs"]
    score, kl = (torch.tensor(inputs[name], dtype=dtype) for name in ("score", "kl"))
    mask, ended = torch.tensor(inputs["mask"]).bool(), torch.tensor(inputs["stopped"])

    shaped = shaped_scores(score, mask.sum(1), ended, SHAPINGS[name])
    rewards = token_rewards(shaped, kl, mask, inputs["beta"])

    assert shaped.dtype == rewards.dtype == dtype
    same(rewards, outputs[name], atol)
    if name.startswith("overlong"):
        same(shaped, outputs["score_overlong"], atol)


@pytest.mark.parametrize("missing_eos", ["none", "replace", "subtract"])
def test_shaping_is_done_in_order_for_each_completion(missing_eos: Any) -> None:
    """PPO.md 1.3: normalise, clip, overlong, missing EOS; any other order gives other numbers here.

    trl#2012, trl#2033: whether the last replaces or subtracts is said.
    """
    generator = torch.Generator().manual_seed(1)
    score = 4 * torch.randn(40, generator=generator, dtype=torch.float64)
    lengths = torch.randint(1, 21, (40,), generator=generator)
    ended = torch.rand(40, generator=generator) < 0.5
    shaping = Shaping(1.5, 2.0, 1.0, 20, 8, 0.7, missing_eos, 0.4)

    found = shaped_scores(score, lengths, ended, shaping).tolist()

    for at, length in enumerate(lengths.tolist()):
        expected = min(max((score[at].item() - 1.5) / 2, -1), 1)
        expected -= 0.7 * min(max(length - 12, 0), 8) / 8
        if not ended[at]:
            expected = {"none": expected, "replace": 0.4, "subtract": expected - 0.4}[missing_eos]
        assert found[at] == pytest.approx(expected, abs=1e-12)


def test_each_part_alone() -> None:
    score = torch.tensor([-3.0, 0.5, 4.0])
    ended = torch.tensor([True, False, True])
    same(normalised(score, 1.0, 2.0), [-2, -0.25, 1.5], 0)
    same(clipped(score, 2.0), [-2, 0.5, 2], 0)
    same(clipped(score, None), score, 0)
    same(overlong_penalty(torch.tensor([1, 6, 8, 10, 12]), 10, 4, 2.0), [0, 0, 1, 2, 2], 0)
    same(with_missing_eos(score, ended, "replace", -1.0), [-3, -1, 4], 0)
    same(with_missing_eos(score, ended, "subtract", 1.0), [-3, -0.5, 4], 0)


def test_the_raw_score_is_left_alone() -> None:
    """PPO.md 1.1: logs show the score unmodified."""
    score = torch.tensor([7.0, -9.0])
    shaped_scores(score, torch.tensor([3, 4]), torch.tensor([True, False]), SHAPINGS["clip5_replace_m1"])
    assert score.tolist() == [7, -9]


@pytest.mark.parametrize(
    "settings",
    [
        {"deviation": 0.0},
        {"clip": 0.0},
        {"overlong_buffer": 0, "max_new_tokens": 8},
        {"overlong_buffer": 9, "max_new_tokens": 8},
        {"missing_eos": "replaced"},
        {"missing_eos": "subtract", "missing_eos_value": -1.0},
    ],
)
def test_impossible_shapings_are_refused(settings: dict[str, Any]) -> None:
    """trl#2012, trl#2033: a negative value that is subtracted would reward completions that do not end."""
    with pytest.raises(ValueError, match="|".join(settings)):
        Shaping(**settings)
