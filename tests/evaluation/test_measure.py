"""Tidy rows hold the means one computes by hand, for the suite and for each of its groups."""

import math
from io import StringIO

import pytest
from rich.console import Console

from align.data.records import Message, Prompt
from align.evaluation.measure import Answers, measure
from align.evaluation.scoring import scores_of
from align.evaluation.suite import Suite
from align.evaluation.table import evaluation_tables
from align.generation.sampler import Completion
from align.rewards.blend import Blend
from align.rewards.rules import LengthReward, PatternReward

PROMPTS = [Prompt((Message("user", text),)) for text in ("a", "b", "c", "a")]
SUITE = Suite("asked", PROMPTS, {"": [0, 1, 2, 3], "part=x": [1, 2], "part=y": [0]}, {})


def answers(scores, lengths):
    completions = [Completion("t", tuple(range(length)), length < 5) for length in lengths]
    return Answers(completions, {"gold": scores})


@pytest.fixture
def rows():
    given = {
        "base": answers([0.0, 1.0, 1.0, 0.0], [5, 5, 1, 5]),
        "sft": answers([2.0, 1.0, 0.0, 1.0], [2, 2, 4, 2]),
    }
    found = list(measure(SUITE, given, {"sft": ("base",)}, resamples=200, seed=0))
    return {(row.checkpoint, row.suite, row.metric): row for row in found}


def test_means_weigh_prompts_equally(rows):
    # Rows 0 and 3 ask the same: (a: 1.5, b: 1, c: 0) on average.
    assert rows["sft", "asked", "gold"].value == pytest.approx(2.5 / 3)
    assert rows["base", "asked", "gold"].value == pytest.approx(2 / 3)
    assert rows["sft", "asked", "gold"].n == 3
    assert rows["base", "asked", "length"].value == pytest.approx(11 / 3)
    assert rows["base", "asked", "ended_fraction"].value == pytest.approx(1 / 3)


def test_win_rate_counts_ties_half(rows):
    won = rows["sft", "asked", "gold/win_rate_over_base"]  # a: won twice, b: tied, c: lost
    assert won.value == pytest.approx((1 + 0.5 + 0) / 3)
    assert 0 <= won.low <= won.value <= won.high <= 1
    assert ("base", "asked", "gold/win_rate_over_sft") not in rows


def test_a_share_of_all_is_not_certain(rows):
    every = rows["sft", "asked", "ended_fraction"]
    assert (every.value, every.high, every.n) == (1.0, 1.0, 3)
    assert every.low == pytest.approx(0.025 ** (1 / 3))  # so many would all do it in one case of forty
    scores = rows["base", "asked/part=x", "gold"]  # a mean of 1 is no share
    assert (scores.low, scores.value, scores.high) == (1.0, 1.0, 1.0)


def test_groups_are_measured_apart(rows):
    assert rows["sft", "asked/part=x", "gold"].value == pytest.approx(0.5)
    assert rows["sft", "asked/part=x", "gold"].n == 2
    single = rows["base", "asked/part=y", "gold"]
    assert (single.value, single.low, single.high, single.n) == (0.0, None, None, 1)


def test_scores_keep_the_parts_of_a_blend():
    blend = Blend(
        {"short": LengthReward(per_character=-1.0), "digit": PatternReward(r"\d")},
        {"short": 1.0, "digit": 3.0},
    )
    found = scores_of({"total": blend, "digits": PatternReward(r"\d")}, PROMPTS[:2], ["1", "xx"])
    assert found == {
        "total": [2.0, -2.0],
        "total/short": [-1.0, -2.0],
        "total/digit": [1.0, 0.0],
        "digits": [1.0, 0.0],
    }


@pytest.mark.parametrize(
    ("given", "problem"), [([1.0], "1 scores for 2 completions"), ([1.0, math.nan], "gave nan for prompt 2")]
)
def test_a_source_that_misbehaves_is_named(given, problem):
    class Odd:
        def score(self, prompts, completions):
            return given

    with pytest.raises(ValueError, match=f"reward odd {problem}|reward odd gave {problem}"):
        scores_of({"odd": Odd()}, PROMPTS[:2], ["x", "y"])


def test_tables_show_every_checkpoint_with_its_interval(rows):
    from dataclasses import asdict

    from rich.console import Console

    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in evaluation_tables([asdict(row) for row in rows.values()]):
        console.print(table)
    text = console.export_text()

    won = rows["sft", "asked", "gold/win_rate_over_base"]
    assert f"50.0 % [{100 * won.low:.1f}, {100 * won.high:.1f}] over base" in text
    gold = rows["sft", "asked", "gold"]
    assert f"0.83 [{gold.low:.2f}, {gold.high:.2f}]" in text
    assert "asked (n = 3)" in text and "asked/part=x (n = 2)" in text and "gold win rate" in text


def test_a_narrow_terminal_loses_nothing(rows):
    from dataclasses import asdict

    from rich.console import Console

    console = Console(width=60, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in evaluation_tables([asdict(row) for row in rows.values()]):
        console.print(table)
    text = console.export_text()
    assert "checkpoint" in text and "base" in text and "sft" in text and "\u2026" not in text


def test_the_table_prints_in_percent_what_the_evaluation_calls_a_share():
    row = {"checkpoint": "sft", "suite": "s", "low": None, "high": None, "n": 9}
    rows = [{**row, "metric": "polite", "value": 0.25}, {**row, "metric": "accuracy", "value": 0.5}]
    for shares, told in ((["polite"], ("25.0 %", "0.50")), (None, ("0.25", "50.0 %"))):
        console = Console(width=100, record=True, file=StringIO())
        for table in evaluation_tables(rows, shares):
            console.print(table)
        text = console.export_text()
        assert all(word in text for word in told)
