"""An ensemble says what its members agree on, and less where they do not."""

import numpy as np
import pytest

from align.config.plugin import PluginSpec
from align.data.records import Message, Prompt
from align.rewards.ensemble import Ensemble
from align.rewards.rules import LengthReward

PROMPTS = [Prompt((Message("user", "what"),))] * 3
SAID = ["a", "four", "eleven char"]
MEMBERS = {
    "long": LengthReward(per_character=1.0),
    "short": LengthReward(per_character=-0.5),
    "even": LengthReward(3),
}


def test_it_is_the_mean_less_the_deviation() -> None:
    parts = np.array([member.score(PROMPTS, SAID) for member in MEMBERS.values()])
    expected = parts.mean(axis=0) - 0.7 * parts.std(axis=0)
    assert Ensemble(MEMBERS, penalty=0.7).score(PROMPTS, SAID) == pytest.approx(expected.tolist(), abs=1e-12)
    assert Ensemble(MEMBERS, penalty=0).score(PROMPTS, SAID) == pytest.approx(parts.mean(axis=0).tolist())


def test_a_score_that_is_not_finite_stays_one() -> None:
    class Broken:
        def score(self, prompts: object, completions: object) -> list[float]:
            return [1.0, float("nan"), float("inf")]

    found = Ensemble({**MEMBERS, "broken": Broken()}).score(PROMPTS, SAID)
    assert np.isfinite(found).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("sources", "penalty", "problem"),
    [({"one": LengthReward()}, 1.0, "two or more"), (MEMBERS, -1.0, "pays for disagreement")],
)
def test_what_is_no_ensemble_is_refused(
    sources: dict[str, LengthReward], penalty: float, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        Ensemble(sources, penalty)


def test_its_members_are_located_and_built_from_yaml() -> None:
    learned = {"_target_": "align.rewards.learned.LearnedReward", "model": "stage:reward"}
    sources = {"first": learned, "second": {**learned, "model": "stage:other"}}
    leaf = PluginSpec.from_yaml({"_target_": "align.rewards.ensemble.Ensemble", "sources": sources})
    built = leaf.located(lambda path: path.replace("stage:", "/made/")).build()
    assert [member.spec.path for member in built.sources.values()] == ["/made/reward", "/made/other"]
