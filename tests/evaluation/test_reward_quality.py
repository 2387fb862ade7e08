"""What is told of a reward model is what was planted in its scores; published pairs are read as they are."""

import json

import numpy as np
import pytest
from rich.console import Console
from scipy.special import expit

from align.data.records import Message, PreferencePair
from align.data.source import load_rows
from align.data.spec import DataSpec, SourceSpec
from align.evaluation.reward_quality import calibration, reward_quality
from align.evaluation.reward_table import reward_tables

SETS = {"llmbar": 419, "hhh": 221, "alpaca_eval": 805 - 6 + 805 - 3}


def pair(prompt: str, chosen: str, rejected: str) -> PreferencePair:
    return PreferencePair(
        (Message("user", prompt),), (Message("assistant", chosen),), (Message("assistant", rejected),)
    )


def quality(pairs, chosen, rejected, sources=None):
    spans = sources or {"all": range(len(pairs))}
    return reward_quality(pairs, np.asarray(chosen), np.asarray(rejected), spans, resamples=200, seed=0)


def test_accuracy_by_source_and_by_length():
    pairs = [
        pair("p", "x" * 10, "x" * 10),
        pair("q", "x" * 100, "x"),
        pair("r", "x", "x" * 100),
        pair("s", "xx", "xx"),
    ]
    found = quality(pairs, [1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], {"a": range(0, 2), "b": range(2, 4)})
    assert found["accuracy"]["value"] == pytest.approx(2.5 / 4) and found["accuracy"]["pairs"] == 4
    assert {name: item["value"] for name, item in found["by_source"].items()} == {"a": 1.0, "b": 0.25}
    assert {label: item["value"] for label, item in found["by_length"].items()} == {
        "much shorter": 0.0, "alike": 0.75, "much longer": 1.0,
    }  # fmt: skip
    assert found["length"]["longer_preferred"] == 1.0 and found["length"]["longer_chosen"] == 0.5
    assert found["log_loss"] == pytest.approx(np.mean(np.log1p(np.exp([-1.0, -2.0, 2.0, 0.0]))))
    assert sum(found["margins"]["counts"]) == 4 and len(found["margins"]["edges"]) == 22
    json.dumps(found, allow_nan=False)


def test_a_calibrated_model_has_no_error_and_an_overconfident_one_has():
    random = np.random.default_rng(0)
    margins = random.normal(0, 2, size=200_000)
    outcome = (
        np.where(random.random(len(margins)) < expit(margins), 1, -1) * margins
    )  # right as often as sure
    assert calibration(outcome)["ece"] < 0.01
    doubled = calibration(3 * outcome)
    assert doubled["ece"] > 0.1
    assert all(item["confidence"] > item["accuracy"] for item in doubled["bins"] if item["low"] > 0.5)
    by_hand = np.abs(margins) > 0
    assert sum(item["pairs"] for item in doubled["bins"]) == by_hand.sum()


def test_a_model_that_pays_for_length_is_seen_through():
    random = np.random.default_rng(1)
    lengths = random.integers(5, 200, size=(400, 2))
    pairs = [pair(str(row), "x" * one, "x" * other) for row, (one, other) in enumerate(lengths)]
    found = quality(pairs, lengths[:, 0] / 10, lengths[:, 1] / 10)
    assert found["length"]["score_correlation"] == pytest.approx(1.0)
    assert found["length"]["longer_preferred"] == 1.0
    assert found["length"]["longer_chosen"] == pytest.approx(0.5, abs=0.08)
    constant = quality(pairs, np.zeros(400), np.zeros(400))
    assert constant["length"]["score_correlation"] is None and constant["accuracy"]["value"] == 0.5


def test_the_table_has_a_line_for_each_set_and_source():
    found = quality(
        [pair("p", "a", "bb"), pair("q", "a", "bb")], [1.0, 0.0], [0.0, 1.0], {"a": [0], "b": [1]}
    )
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in reward_tables({"reward_models": [{"model": "rm", "sets": {"held_out_pairs": found}}]}):
        console.print(table)
    text = console.export_text()
    assert "reward model rm" in text and "held_out_pairs" in text and "50.0 %" in text and "  b" in text


@pytest.mark.parametrize("name", SETS)
def test_published_judge_sets_are_read_whole(align_data, tmp_path, name):
    from hydra import compose, initialize_config_dir

    from align.config.compose import bind
    from align.pipeline.run import Run
    from tests.config.test_every_config import CONF

    with initialize_config_dir(str(CONF), version_base="1.3"):
        given = compose(
            "align", [f"+judge_set@stages.evaluate.judge_sets.it={name}", f"paths.data={align_data}"]
        )
    spec = bind(given, Run).stages["evaluate"].judge_sets["it"]
    rows = load_rows(spec, PreferencePair, tmp_path)
    assert len(rows.train) == SETS[name]
    assert all(row.chosen != row.rejected for row in rows.train)


def test_a_judge_set_can_be_of_ones_own(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"prompt": "q", "chosen": "a", "rejected": "b"}) + "\n")
    spec = DataSpec(sources={"own": SourceSpec(path=str(path), format="pairs")})
    assert load_rows(spec, PreferencePair, tmp_path).train == [pair("q", "a", "b")]
