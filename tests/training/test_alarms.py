"""Alarms of a training: quiet while all is well, one sentence when something begins."""

import random

from align.training.alarms import Alarms


def test_a_falling_loss_is_quiet() -> None:
    noise = random.Random(0)
    alarms = Alarms()
    losses = [5 * 0.97**step + noise.uniform(-0.2, 0.2) for step in range(100)]
    assert [alarms.new({"policy/loss": loss}) for loss in losses] == [[]] * 100


def test_a_constant_loss_may_rise_a_little() -> None:
    alarms = Alarms()
    said = [alarms.new({"policy/loss": 0.7}) for _ in range(20)]
    said += [alarms.new({"policy/loss": 0.9})]
    assert said == [[]] * 21


def test_a_jump_is_told_once_while_it_lasts() -> None:
    alarms = Alarms()
    said = [alarms.new({"reward_model/loss": loss}) for loss in (*[0.6, 0.7] * 6, 4.0, 4.1, 0.6, 5.0)]
    assert [len(lines) for lines in said] == [0] * 12 + [1, 0, 0, 1]
    assert said[12][0].startswith("the loss jumped to 4 from about 0.65: ")


def test_entropy_and_the_likelihood_of_chosen_answers_may_not_collapse() -> None:
    alarms = Alarms()
    assert alarms.new({"objective/entropy": 2.0, "dpo/chosen_logprob": -40.0}) == []
    assert alarms.new({"objective/entropy": 0.5, "dpo/chosen_logprob": -55.0}) == []
    entropy, chosen = alarms.new({"objective/entropy": 0.3, "dpo/chosen_logprob": -70.0})
    assert entropy.startswith("entropy fell below 20%") and "(-40 -> -70 nats)" in chosen
    assert alarms.new({"objective/entropy": 0.3, "dpo/chosen_logprob": -70.0}) == []
