"""Cards tell the whole chain, and huggingface_hub reads the numbers out of them again."""

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from align.report.collect import Facts
from align.report.command import main
from align.report.model_card import model_cards


@pytest.fixture(scope="module")
def cards(facts: Facts) -> dict[str, str]:
    return dict(model_cards(facts))


def test_every_model_has_one(cards: dict[str, str]) -> None:
    assert [*cards] == ["pretrain", "sft", "reward", "dpo", "ppo"]


def test_the_hub_s_reader_finds_the_evaluation(facts: Facts, cards: dict[str, str]) -> None:
    data = ModelCard(cards["ppo"]).data
    rows = (facts.evaluations[0].evaluation or {})["rows"]
    expected = {
        row["metric"]: row["value"]
        for row in rows
        if (row["checkpoint"], row["suite"]) == ("ppo", "held_out")
    }
    results = [result for result in data.eval_results if result.dataset_name == "held_out"]
    assert {result.metric_type: result.metric_value for result in results} == expected
    assert data.language == ["en"] and data.pipeline_tag == "text-generation"
    assert ModelCard(cards["pretrain"]).data.eval_results  # the evaluation calls it base


def test_the_chain_is_told_and_nothing_else(facts: Facts, cards: dict[str, str]) -> None:
    names = {stage.name: stage.folder.name for stage in facts.stages}
    for name in ("pretrain", "sft", "reward", "ppo"):
        assert f"`{names[name]}`" in cards["ppo"]
    assert names["dpo"] not in cards["ppo"] and names["reward"] not in cards["sft"]
    for word in ("CC-BY-NC-4.0", "torch ", "Research only", "the score rises while gold falls", "[", "60 |"):
        assert word in cards["ppo"]
    assert "the score rises" not in cards["dpo"]


def test_they_are_written_beside_the_report(run_folder: Path, facts: Facts) -> None:
    assert main([str(run_folder)]) == 0
    written = sorted(path.stem for path in (run_folder / "cards").glob("*.md"))
    assert written == ["dpo", "ppo", "pretrain", "reward", "sft"]
    assert not list(facts.stages[0].folder.model.glob("*.md"))  # artifacts stay as they were sealed
