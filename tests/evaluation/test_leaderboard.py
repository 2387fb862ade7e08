"""Leaderboards hold what one counts by hand; nobody wins who might not have."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from align.artifacts.store import ArtifactDir
from align.data.records import Message, Prompt
from align.evaluation.constant import constant_flags
from align.evaluation.judged import Judged, judged, prompt_name, read_judged, write_judged
from align.evaluation.judging import Judgement, write_leaderboards
from align.evaluation.leaderboard import leaderboards
from align.evaluation.leaderboard_table import leaderboard_tables
from align.evaluation.measure import Answers
from align.evaluation.suite import Suite
from align.generation.sampler import Completion
from align.judges.scored import Scored
from align.judges.source import Comparison, Verdict
from align.rewards.rules import LengthReward


def match(pair, values, prompts=None, missing=None, characters=None):
    return Judged(
        judge="j", suite="s", checkpoint=pair[0], baseline=pair[1],
        prompts=prompts or [str(row) for row in range(len(values))],
        values=values, missing=missing or {}, shown_first=[None] * len(values),
        characters=characters or [(1, 1)] * len(values),
    )  # fmt: skip


def board(*matches):
    (found,) = leaderboards(matches, resamples=400, seed=0)
    return found


def test_a_board_by_hand():
    found = board(match(("b", "a"), [1.0] * 30 + [0.5] * 6 + [0.0] * 4))
    (pair,) = found["pairs"]
    assert pair["win_rate"]["value"] == pytest.approx(33 / 40) and pair["win_rate"]["n"] == 40
    assert (pair["wins"], pair["ties"], pair["losses"]) == (30, 6, 4)
    assert pair["standard_error"] == pytest.approx(np.std([1] * 30 + [0.5] * 6 + [0] * 4, ddof=1) / 40**0.5)
    assert pair["winner"] == "b" and pair["sign_p"] == pair["holm_p"] < 1e-4
    assert [entry["checkpoint"] for entry in found["checkpoints"]] == ["b", "a"]
    assert found["checkpoints"][0]["strength"] == pytest.approx(np.log(33 / 7) / 2, abs=1e-3)
    assert (found["status"], found["prompts"], found["comparisons"]) == ("complete", 40, 40)
    json.dumps(found, allow_nan=False)


def test_rows_of_one_prompt_are_one_prompt():
    (pair,) = board(match(("b", "a"), [1.0] * 90 + [0.0], ["same"] * 90 + ["other"]))["pairs"]
    assert pair["win_rate"]["value"] == 0.5 and pair["win_rate"]["n"] == 2 and pair["winner"] is None


@pytest.mark.parametrize("won, lost, winner", [(29, 0, None), (20, 16, None), (6, 40, "a")])
def test_nobody_wins_who_might_not_have(won, lost, winner):
    (pair,) = board(match(("b", "a"), [1.0] * won + [0.0] * lost))["pairs"]
    assert pair["winner"] == winner
    assert pair["is_too_few"] == (won + lost < 30)


def test_one_of_twenty_pairs_that_stands_out_by_chance_does_not_win():
    even = [1.0] * 20 + [0.0] * 20
    lucky = [1.0] * 28 + [0.0] * 12
    matches = [match(("b", f"a{k}"), even) for k in range(19)] + [match(("b", "c"), lucky)]
    pair = board(*matches)["pairs"][-1]
    assert pair["sign_p"] < 0.05 < pair["holm_p"] and pair["win_rate"]["low"] > 0.5 and pair["winner"] is None


def test_no_verdict_is_no_win_and_is_counted():
    found = board(match(("b", "a"), [None] * 10 + [0.0] * 30, missing={"unparsed": 8, "failed": 2}))
    assert found["pairs"][0]["win_rate"]["value"] == 0 and found["pairs"][0]["win_rate"]["n"] == 30
    assert found["missing"] == {"unparsed": 8, "failed": 2} and found["status"] == "partial"


def test_verdicts_of_several_runs_are_put_together():
    ours = match(("b", "a"), [1.0, 1.0, 0.0], ["x", "y", "z"], characters=[(5, 1)] * 3)
    theirs = match(("a", "b"), [0.0, 1.0], ["u", "v"], characters=[(1, 5)] * 2)
    (pair,) = board(ours, theirs)["pairs"]
    assert (pair["checkpoint"], pair["wins"], pair["losses"], pair["longer"]) == ("b", 3, 2, 4.0)


def test_verdicts_survive_the_disk(tmp_path):
    texts = (["long answer", "b"], ["a", "\u2028"])
    found = judged(
        "j", "s", ("b", "a"), ["x", "y"], texts, [Verdict(1.0, None, 0.5), Verdict(None, "unparsed")]
    )
    write_judged(tmp_path / "c.jsonl", [found])
    (again,) = read_judged(tmp_path / "c.jsonl")
    assert again.values == [1.0, None] and again.missing == {"unparsed": 1}
    assert [tuple(pair) for pair in again.characters] == [(11, 1), (1, 1)]


def test_a_prompt_has_one_name():
    assert prompt_name((Message("user", "a"),)) == prompt_name((Message("user", "a"),))
    assert prompt_name((Message("user", "a"),)) != prompt_name((Message("user", "b"),))


def test_a_reward_judges_by_its_score_and_is_asked_once():
    asked = []

    class Counting(LengthReward):
        def score(self, prompts, completions):
            asked.extend(completions)
            return super().score(prompts, completions)

    prompt = Prompt((Message("user", "q"),), {"answer": "x"})
    judge = Scored(Counting(per_character=-1.0), tie=1)
    judge.remember([prompt], ["known"], [-5.0])
    found = judge.compare([Comparison(prompt, "a", "bbb"), Comparison(prompt, "bbb", "a"),
                           Comparison(prompt, "a", "bb"), Comparison(prompt, "known", "a")])  # fmt: skip
    assert [verdict.value for verdict in found] == [1.0, 0.0, 0.5, 0.0]
    assert sorted(asked) == ["a", "bb", "bbb"]
    with pytest.raises(ValueError, match="tie: -1 is below 0"):
        Scored(Counting(), tie=-1)


def test_the_same_answer_to_everything_is_flagged():
    prompts = [str(number) for number in range(40)]
    varied = [f"the answer to {number} is {number * 977 % 89} of {number * 31 % 97}" for number in range(40)]
    (flag,) = constant_flags("s", prompts, {"good": varied, "null": ["I  win."] * 39 + ["i win."]})
    assert (flag["checkpoint"], flag["kind"], flag["share"]) == ("null", "constant", 1.0)
    long = (
        "As a careful assistant I have weighed every part of this request and found it to be excellent. " * 3
    )
    (flag,) = constant_flags("s", prompts, {"padded": [f"{long}{number}" for number in range(40)]})
    assert flag["kind"] == "near-constant" and flag["share"] > 0.9
    assert not constant_flags("s", ["a"] * 40, {"null": ["x"] * 40}), "one prompt has one answer"


def test_the_tables_say_who_wins_and_who_does_not():
    text = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    boards = [board(match(("b", "a"), [1.0] * 30 + [0.0] * 10)), board(match(("b", "a"), [1.0, 0.0] * 10))]
    flag = {"message": "null gives constant answers"}
    for entry in leaderboard_tables({"leaderboards": boards, "flags": [flag]}):
        text.print(entry)
    shown = text.export_text()
    assert "75.0 % [" in shown and "b over a" in shown and "too few" in shown
    assert "warning: null gives constant answers" in shown


@pytest.mark.parametrize(
    ("values", "first", "share"),
    [
        ([1.0, 0.5, 0.5, 0.75], [0.5, 0.5, 1.0, 0.75], 0.5),  # the third likes what it reads first
        ([1.0, 0.0, 0.5], [1.0, 1.0, 0.5], None),  # votes of people, who saw one order
        ([1.0, 0.0], [None, None], None),
    ],
)
def test_agreement_of_both_orders_is_told_where_both_were_asked(values, first, share):
    assert board(replace(match(("b", "a"), values), shown_first=first))["consistent"] == share


@pytest.mark.parametrize(("scores", "kinds"), [({}, []), ({"gold": [1.0] * 12}, ["constant"])])
def test_yes_to_most_questions_is_no_fault_where_nothing_is_compared(tmp_path, scores, kinds):
    suite = Suite("s", [Prompt((Message("user", str(number)),)) for number in range(12)], {"": range(12)}, {})
    given = {"s": {"sft": Answers([Completion("yes", (1,), True)] * 12, scores)}}
    output = ArtifactDir(tmp_path)
    write_leaderboards(output, [suite], given, Judgement([], {}), resamples=9, seed=0)
    assert [flag["kind"] for flag in json.loads(output.leaderboards.read_text())["flags"]] == kinds
