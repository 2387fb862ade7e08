"""Plain functions pay: called by name with what they take, columns from references, tokens from PPO."""

import math
import sys
from pathlib import Path

import pytest

from align.config.plugin import PluginSpec
from align.data.records import Message, Prompt
from align.judges.scored import Scored
from align.ppo.score import WeightedSource, score_completions
from align.rewards.blend import Blend
from align.rewards.function import FunctionReward, as_source, is_reward_function, missing_arguments
from align.rewards.rules import LengthReward

CODE = """
def right(prompts, completions, answer, points=2.0):
    asked = [turns[-1]["content"] for turns in prompts]
    assert asked == ["q0", "q1", "q2"]
    return [points * (said == wanted) if wanted else None for said, wanted in zip(completions, answer)]

def counted(completion_ids, completions):
    return [len(ids) for ids in completion_ids]

def everything(completions, **columns):
    return [float(len(columns)) for _ in completions]

def maker(points):
    class Source:
        def score(self, prompts, completions):
            return [points for _ in completions]
    return Source()
"""
PROMPTS = [
    Prompt((Message("user", f"q{row}"),), {"answer": answer, "level": row})
    for row, answer in enumerate(("yes", "no", None))
]
SAID = ["yes", "yes", "yes"]


@pytest.fixture(scope="module", autouse=True)
def rewards_of_mine(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder: Path = tmp_path_factory.mktemp("mine")
    (folder / "rewards_of_mine.py").write_text(CODE)
    sys.path.insert(0, str(folder))


def plugin(name: str, **arguments: object) -> PluginSpec:
    return PluginSpec.from_yaml({"_target_": f"rewards_of_mine.{name}", **arguments})


def test_a_function_is_called_with_what_it_takes() -> None:
    source = as_source(plugin("right", points=0.5).build())
    found = source.score(PROMPTS, SAID)
    assert found[:2] == [0.5, 0.0] and math.isnan(found[2])
    assert as_source(plugin("everything").build()).score(PROMPTS, SAID) == [3.0] * 3  # prompts, answer, level


def test_what_is_configured_wins_over_a_column_of_that_name() -> None:
    prompts = [
        Prompt(item.messages, {**item.reference, "points": 7.0, "prompts": "no column"}) for item in PROMPTS
    ]
    assert as_source(plugin("right", points=0.5).build()).score(prompts, SAID)[0] == 0.5
    assert as_source(plugin("everything", level=1).build()).score(prompts, SAID) == [4.0] * 3
    with pytest.raises(TypeError, match="not 'list'"):  # where it is not configured the column is what comes
        as_source(plugin("right").build()).score(prompts, SAID)


def test_it_pays_in_ppo_beside_others_and_knows_the_tokens() -> None:
    """trl#2273, trl#2451, trl#2518, trl#2540, trl#3093: nothing but a model could pay."""
    sources = {
        "right": WeightedSource(as_source(plugin("right").build())),
        "counted": WeightedSource(as_source(plugin("counted").build()), -0.25),
        "short": WeightedSource(LengthReward()),
    }
    found = score_completions(sources, PROMPTS, SAID, [[1, 2], [3], [4]])
    assert found.total.tolist()[:2] == pytest.approx([2 - 0.5 - 0.003, -0.25 - 0.003])
    assert found.valid.tolist() == [True, True, False], "None takes an episode out"


def test_it_can_be_a_part_of_a_blend_and_a_judge() -> None:
    nested = {"_target_": "rewards_of_mine.right", "points": 4.0}
    blend = PluginSpec.from_yaml(
        {"_target_": "align.rewards.blend.Blend", "sources": {"right": nested}, "weights": {"right": 0.5}}
    ).build()
    assert isinstance(blend, Blend) and blend.score(PROMPTS, SAID)[:2] == [2.0, 0.0]
    judge = PluginSpec.from_yaml({"_target_": "align.judges.scored.Scored", "reward": nested}).build()
    assert isinstance(judge, Scored)


def test_a_function_that_makes_a_source_is_called_at_once() -> None:
    assert as_source(plugin("maker", points=3.0).build()).score(PROMPTS, SAID) == [3.0] * 3
    assert missing_arguments(plugin("maker")) == ["rewards_of_mine.maker needs the argument 'points'"]
    assert is_reward_function(plugin("right")) and not is_reward_function(plugin("maker"))
    assert missing_arguments(plugin("right")) == []


def test_what_it_needs_and_nobody_has_is_told() -> None:
    with pytest.raises(
        ValueError, match="needs completion_ids; here are answer, completions, level, prompts"
    ):
        FunctionReward(plugin("counted").resolve()).score(PROMPTS, SAID)
    with pytest.raises(ValueError, match=r"\(int\) is no reward"):
        as_source(3)
