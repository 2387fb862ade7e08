"""Every rule on completions whose score can be said at sight."""

import pytest

from align.data.records import Message, Prompt
from align.rewards.blend import Blend
from align.rewards.rules import ExactAnswer, LengthReward, PatternReward, SandboxGold
from align.sandbox.gold import gold_score

FACT = {
    "kind": "fact",
    "language": "en",
    "answers": ["The fox is red."],
    "value": "red",
    "subject": "fox",
    "rivals": ["blue", "green"],
}


def asked(**reference) -> Prompt:
    return Prompt((Message("user", "What colour is the fox?"),), reference)


def test_length_is_free_up_to_a_point():
    scores = LengthReward(free=5, per_character=-0.5).score([asked()] * 3, ["four", "fives", "eight ch"])
    assert scores == [0.0, 0.0, -1.5]


def test_pattern_is_searched_or_matched_as_a_whole():
    completions = ["so 42", "42", "4\n2"]
    assert PatternReward(r"\d\d").score([asked()] * 3, completions) == [1.0, 1.0, 0.0]
    assert PatternReward(r"\d.?\d", whole=True).score([asked()] * 3, completions) == [0.0, 1.0, 1.0]
    assert PatternReward("x", present=2.0, absent=-1.0).score([asked()], ["y"]) == [-1.0]


def test_a_malformed_pattern_is_a_value_error():
    with pytest.raises(ValueError, match="is not a regular expression"):
        PatternReward("(")


def test_exact_answer_ignores_case_white_space_and_outer_punctuation():
    prompts = [asked(answer="New  York")] * 4
    completions = ["new york.", " “New York”", "**New York**", "York"]
    assert ExactAnswer().score(prompts, completions) == [1.0, 1.0, 1.0, 0.0]


def test_exact_answer_takes_any_accepted_form_and_other_keys():
    prompts = [asked(answers=["red", "crimson"])] * 2
    assert ExactAnswer(key="answers").score(prompts, ["Crimson!", "blue"]) == [1.0, 0.0]
    assert ExactAnswer().score([asked(answer=7)], ["7"]) == [1.0]


def test_exact_answer_extracts_the_last_match():
    rule = ExactAnswer(extract=r"####\s*(\S+)")
    completions = ["#### 3 no, #### 4", "4", "#### 4\nand more"]
    assert rule.score([asked(answer="4")] * 3, completions) == [1.0, 0.0, 1.0]
    assert ExactAnswer(extract=r"\d+").score([asked(answer="12")], ["3 and 12 apples"]) == [1.0]


def test_a_reference_without_the_key_is_told():
    with pytest.raises(
        ValueError, match="needs `answer` in the reference of every prompt, but a prompt has kind"
    ):
        ExactAnswer().score([asked(kind="fact")], ["red"])


def test_gold_is_the_sandbox_ruler():
    completions = ["The fox is red.", "", "The fox is blue."]
    expected = [gold_score(FACT, completion) for completion in completions]
    assert SandboxGold().score([asked(**FACT)] * 3, completions) == expected
    assert expected[0] == 2.0 and expected[1] == -1.0 and expected[2] <= -1.0


def test_gold_refuses_prompts_of_another_world():
    with pytest.raises(ValueError, match="needs `kind`"):
        SandboxGold().score([asked(answer="red")], ["red"])


def test_blend_is_the_weighted_sum_of_its_parts():
    sources = {"short": LengthReward(per_character=-1.0), "digit": PatternReward(r"\d")}
    blend = Blend(sources, {"digit": 10.0, "short": 0.5})
    prompts, completions = [asked()] * 2, ["12", "none"]

    parts = blend.parts(prompts, completions)
    assert parts == {"short": [-2.0, -4.0], "digit": [1.0, 0.0]}
    assert blend.total(parts) == blend.score(prompts, completions) == [9.0, -2.0]


@pytest.mark.parametrize("weights", [{}, {"short": 1.0, "long": 1.0}])
def test_blend_wants_a_weight_for_every_source(weights):
    with pytest.raises(ValueError, match="every source needs a weight: sources are short"):
        Blend({"short": LengthReward()}, weights)
