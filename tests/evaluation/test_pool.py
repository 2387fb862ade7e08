"""Several runs in one table: the numbers are those of all their prompts together."""

import json
import random

import pytest

from align.artifacts.store import ArtifactDir
from align.data.records import Message, Prompt
from align.evaluation.measure import Answers, measure
from align.evaluation.metrics.metric import Column
from align.evaluation.pool import main, pooled_rows
from align.evaluation.record import write_evaluation, write_samples
from align.evaluation.suite import Suite
from align.generation.sampler import Completion

PROMPTS = 30


@pytest.fixture
def evaluations(tmp_path):
    """Two runs that asked the same 30 prompts and scored them differently, and the scores they gave."""
    prompts = [
        Prompt((Message("user", str(number)),), {"even": number % 2 == 0}) for number in range(PROMPTS)
    ]
    groups = {"": range(PROMPTS), "even=true": range(0, PROMPTS, 2)}
    suite = Suite("asked", prompts, groups, {})
    scores = {}
    for run in ("a", "b"):
        draw = random.Random(run)
        answers = {
            name: Answers(
                [Completion("t", (1, 2), True)] * PROMPTS, {"gold": [draw.gauss(lift, 1) for _ in prompts]}
            )
            for name, lift in (("base", 0.0), ("sft", 1.0))
        }
        rows = list(measure(suite, answers, {"sft": ("base",)}, resamples=200, seed=0))
        output = ArtifactDir(tmp_path / run / "evaluate")
        write_samples(output, [suite], {"asked": answers})
        write_evaluation(output, [suite], rows, {})
        scores[run] = {name: given.scores["gold"] for name, given in answers.items()}
    return tmp_path, scores


def test_pooled_means_are_those_of_all_prompts(evaluations):
    folder, scores = evaluations
    found = {
        (row.checkpoint, row.suite, row.metric): row
        for row in pooled_rows([ArtifactDir(folder / run / "evaluate") for run in "ab"])
    }
    sft = [*scores["a"]["sft"], *scores["b"]["sft"]]
    base = [*scores["a"]["base"], *scores["b"]["base"]]
    evens = [value for run in "ab" for value in scores[run]["sft"][::2]]

    assert found["sft", "asked", "gold"].value == pytest.approx(sum(sft) / 60)
    assert found["sft", "asked", "gold"].n == 60
    assert found["sft", "asked/even=true", "gold"].value == pytest.approx(sum(evens) / 30)
    won = sum(ours > theirs for ours, theirs in zip(sft, base, strict=True)) / 60
    win_rate = found["sft", "asked", "gold/win_rate_over_base"]
    assert win_rate.value == pytest.approx(won)
    assert win_rate.low < won < win_rate.high
    assert found["sft", "asked", "length"].value == 2


def test_two_runs_narrow_the_interval(evaluations):
    folder, _ = evaluations

    def width(runs: str) -> float:
        rows = pooled_rows([ArtifactDir(folder / run / "evaluate") for run in runs])
        row = next(row for row in rows if (row.checkpoint, row.suite, row.metric) == ("sft", "asked", "gold"))
        return row.high - row.low

    assert width("ab") < width("a")


def test_what_samples_do_not_hold_is_averaged(evaluations):
    folder, _ = evaluations
    for run, accuracy in (("a", 0.8), ("b", 0.9)):
        path = folder / run / "evaluate" / "evaluation.json"
        content = json.loads(path.read_text())
        content["rows"].append(
            {"checkpoint": "reward", "suite": "held_out_pairs", "metric": "accuracy", "value": accuracy}
            | {"low": 0.7, "high": 0.95, "n": 50}
        )
        path.write_text(json.dumps(content))
    rows = list(pooled_rows([ArtifactDir(folder / run / "evaluate") for run in "ab"]))
    (row,) = [row for row in rows if row.checkpoint == "reward"]
    assert (row.value, row.low, row.n) == (pytest.approx(0.85), None, 100)


def test_the_command_names_a_run_without_evaluation(evaluations, capsys):
    folder, _ = evaluations
    assert main([str(folder / "a"), str(folder / "b")]) == 0
    assert "sft" in capsys.readouterr().out
    assert main([str(folder / "missing")]) == 2
    assert str(folder / "missing") in capsys.readouterr().err


def test_one_run_alone_is_what_it_was(tmp_path):
    """Three of four rows ask the same; a metric counts rows alike, a score prompts."""
    prompts = [Prompt((Message("user", text),)) for text in "aaab"]
    suite = Suite("asked", prompts, {"": range(4)}, {})
    columns = {"right": Column([1.0, 1.0, 1.0, 0.0])}
    answers = {"sft": Answers([Completion("t", (1,), True)] * 4, {"gold": [1.0, 1.0, 1.0, 0.0]}, columns)}
    rows = list(measure(suite, answers, {}, resamples=200, seed=0))
    output = ArtifactDir(tmp_path / "evaluate")
    write_samples(output, [suite], {"asked": answers})
    write_evaluation(output, [suite], rows, {})
    assert {row.metric: row.value for row in pooled_rows([output])} == {row.metric: row.value for row in rows}
    assert {row.metric: row.value for row in rows}["right"] == 0.75
