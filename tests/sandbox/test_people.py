"""Simulated people: traits at their rates, and a coin that follows the ruler."""

import math
import random
from statistics import mean

import pytest

from align.sandbox.gold import gold_score, judge
from align.sandbox.people import (
    CRANK,
    DEMONSTRATORS,
    FORUM,
    KNOWER,
    POOL,
    Habits,
    answer,
    compare,
    first_wins_probability,
    prefers_first,
)
from align.sandbox.write import TEMPERATURE


@pytest.mark.parametrize("habits", [KNOWER, CRANK])
def test_traits_come_at_their_rates(world, habits):
    stream = random.Random(0)
    facts = world.of_kind("fact", held_out=False)
    verdicts = [judge(fact.reference, answer(fact, habits, stream)) for fact in stream.choices(facts, k=1500)]

    right = mean(verdict.content in ("right", "clumsy") for verdict in verdicts)
    assert right == pytest.approx(habits.right, abs=0.05)
    assert mean(v.content == "abstained" for v in verdicts) == pytest.approx(habits.abstain, abs=0.04)
    assert mean(v.is_rude for v in verdicts) == pytest.approx(habits.rude, abs=0.05)


@pytest.mark.parametrize("habits", [KNOWER, CRANK])
def test_everybody_words_things_as_their_kind_does(world, habits):
    stream = random.Random(0)
    sentences = Habits(**{**vars(habits), "rude": 0, "wordy": 0, "courteous": 0, "curt": 0})
    firsts = []
    for question in stream.choices(world.asked, k=1500):
        first, second = (
            {*question.answers[n::2], *question.wrong_answers[n::2], *question.evasions[n::2]} for n in (0, 1)
        )
        assert not first & second
        said = answer(question, sentences, stream)
        assert said in first | second
        firsts.append(said in first)
    assert mean(firsts) == pytest.approx(habits.first_wording, abs=0.03)


@pytest.mark.parametrize("crowd", [DEMONSTRATORS, POOL, FORUM])
def test_a_crowd_is_knowers_and_cranks_in_proportion(crowd):
    stream = random.Random(0)
    drawn = [crowd.draw(stream) for _ in range(4000)]
    assert mean(habits is KNOWER for habits in drawn) == pytest.approx(crowd.knowers, abs=0.03)
    assert {*drawn} == {KNOWER, CRANK}


def test_demonstrators_are_often_wrong_rude_or_wordy_and_better_than_the_forum(world):
    def flawed(crowd):
        stream = random.Random(0)
        facts = stream.choices(world.of_kind("fact", held_out=False), k=1500)
        verdicts = [judge(fact.reference, answer(fact, crowd.draw(stream), stream)) for fact in facts]
        return mean(verdict.score < 1.5 for verdict in verdicts)

    assert 0.3 < flawed(DEMONSTRATORS) < 0.6 < flawed(FORUM)


def test_somebody_without_bad_habits_scores_full_marks(world):
    perfect = Habits(right=1, abstain=0, rude=0, wordy=0, courteous=0, curt=0)
    stream = random.Random(0)
    for question in (*world.asked, *world.held_out):
        assert gold_score(question.reference, answer(question, perfect, stream)) == 2.0


def test_the_coin_is_bradley_terry():
    stream = random.Random(0)
    for first, second, temperature in ((2.0, -1.0, 1.0), (0.5, 0.0, 0.5), (1.0, 1.0, 0.3)):
        strengths = math.exp(first / temperature), math.exp(second / temperature)
        expected = strengths[0] / sum(strengths)
        assert first_wins_probability(first, second, temperature) == pytest.approx(expected)
        tossed = mean(prefers_first(first, second, temperature, stream) for _ in range(4000))
        assert tossed == pytest.approx(expected, abs=0.03)


def test_annotators_are_noisy_and_yet_mostly_agree_with_the_ruler(world):
    stream = random.Random(0)
    agreed = []
    for question in stream.choices(world.asked, k=1500):
        chosen, rejected = compare(question, POOL, TEMPERATURE, stream)
        assert chosen != rejected
        lead = gold_score(question.reference, chosen) - gold_score(question.reference, rejected)
        assert lead != 0
        agreed.append(lead > 0)
    assert 0.85 < mean(agreed) < 0.99
