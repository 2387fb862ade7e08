"""Alarms: each is raised by its own number, once, and by nothing else. Guards the specification's §7."""

import random

import pytest

from align.ppo.alarms import SETTLED, WINDOW, Alarms

FINE = {
    "objective/kl": 1.0,
    "objective/entropy": 2.0,
    "objective/score": 0.0,
    "rollout/length": 20.0,
    "rollout/ended_fraction": 1.0,
    "policy/clip_fraction": 0.1,
    "sampler/difference": 0.01,
    "value/explained_variance": 0.5,
    "score/gold": 0.0,
}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("objective/kl", 6.1, "KL is 6.1 nats"),
        ("objective/entropy", 0.3, "entropy fell below 20%"),
        ("rollout/length", 31.0, "1.5 times as long"),
        ("rollout/ended_fraction", 0.7, "70% of the completions end"),
        ("policy/clip_fraction", 0.4, "many ratios are clipped"),
        ("sampler/difference", 0.06, "0.06 nats off"),
    ],
)
def test_a_number_out_of_bounds_is_said_once_until_it_was_fine_again(
    name: str, value: float, said: str
) -> None:
    alarms = Alarms(kl_target=2.0, measured=["gold"])
    bad = {**FINE, name: value}
    assert [len(alarms.new(row)) for row in (FINE, FINE, bad, bad, FINE)] == [0, 0, 1, 0, 0]
    assert said in alarms.new(bad)[0]


def test_a_kl_without_target_and_a_young_value_model_are_left_alone() -> None:
    alarms = Alarms(kl_target=None, measured=[])
    young = {**FINE, "objective/kl": 100.0, "value/explained_variance": -1.0}
    assert [alarms.new(young) for _ in range(SETTLED)] == [[]] * SETTLED
    assert alarms.new(young) == ["the value model explains nothing: look at value_optimizer.learning_rate"]


@pytest.mark.parametrize(("gold", "is_hollow"), [(-0.1, True), (0.1, False), (0.0, False)])
def test_a_score_that_rises_while_gold_falls_is_hollow(gold: float, is_hollow: bool) -> None:
    noise, alarms, said = random.Random(0), Alarms(None, ["gold"]), []
    for update in range(3 * WINDOW):
        drift = {"objective/score": 0.2 * update, "score/gold": gold * update}
        said += alarms.new({**FINE, **{name: at + noise.gauss(0, 0.02) for name, at in drift.items()}})
    assert said == ["the score rises while gold falls: over-optimisation; stop earlier"] * is_hollow
