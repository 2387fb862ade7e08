"""What evaluations leave beside scores: reward models, risk, the alignment tax, gates; and failed runs."""

import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from align.artifacts.durable import write_json
from align.report.collect import Facts, collect
from align.report.command import main
from align.report.figures import share_axis
from align.report.measured import comparisons, rows_of, share_metrics, suite_rows
from align.report.page import render
from tests.report.conftest import CURVE
from tests.report.test_page import Page

NOW = datetime(2026, 1, 2, 3, 4)
ERROR = "ppo failed: <b>out of memory</b>\n  | at update 7"


@pytest.fixture(scope="module")
def page(facts: Facts) -> Page:
    return Page(render(facts, NOW))


def qualities(facts: Facts) -> dict:
    (entry,) = (facts.evaluations[0].reward_models or {})["reward_models"]
    return entry["sets"]


def test_reward_models_are_drawn_set_by_set(facts: Facts, page: Page) -> None:
    quality = qualities(facts)["held_out_pairs"]
    for place in (0, 1):  # held_out_pairs and the judge set
        for kind in ("by_source", "by_length", "reliability", "margins-0"):
            assert f"reward-{place}-{kind}" in page.figures
    diagonal, drawn = page.figures["reward-0-reliability"]["data"]
    assert diagonal["x"] == diagonal["y"]
    bins = quality["calibration"]["bins"]
    assert drawn["y"] == [item["accuracy"] for item in bins]
    assert f"ECE {100 * quality['calibration']['ece']:.1f} %" in page.text
    (bars,) = page.figures["reward-0-margins-0"]["data"]
    assert bars["y"] == quality["margins"]["counts"] and sum(bars["y"]) == 60
    correlation = quality["length"]["margin_correlation"]
    assert correlation > 0.5 and f"{correlation:.2f}" in page.text
    accuracy = quality["accuracy"]
    words = f"{100 * accuracy['value']:.1f} % [{100 * accuracy['low']:.1f}, {100 * accuracy['high']:.1f}]"
    assert words in page.text


def test_rows_of_reward_models_and_of_the_tax_are_no_suites(facts: Facts, page: Page) -> None:
    assert {row["suite"].partition("/")[0] for row in suite_rows(facts)} == {"held_out"}
    assert "score-perplexity" not in page.figures


def test_risk_and_coverage_are_those_of_the_evaluation(page: Page) -> None:
    (curve,) = page.figures["risk-coverage-truthfulness"]["data"]
    assert [list(point) for point in zip(curve["x"], curve["y"], strict=True)] == CURVE["points"]
    assert page.figures["risk-coverage-truthfulness"]["layout"]["yaxis"]["tickformat"].endswith("%")
    assert "12.5 %" in page.text and "25.0 %" in page.text


def test_the_tax_tells_base_and_aligned(facts: Facts, page: Page) -> None:
    rows = {(row["checkpoint"], row["metric"]): row for row in rows_of(facts) if row["suite"] == "tax"}
    ratio, change = rows["ppo", "perplexity_ratio"], rows["ppo", "facts/accuracy_change"]
    assert f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]" in page.text
    assert change["value"] < 0 and f"−{-100 * change['value']:.1f} %" in page.text
    names = [trace["name"] for trace in page.figures["tax-perplexity"]["data"]]
    assert names == ["base", "sft", "dpo", "ppo"]
    assert "At most 1.5 times the perplexity of base is allowed." in " ".join(page.text.split())


def test_shares_are_what_the_evaluation_says_or_known_by_name(facts: Facts) -> None:
    declared = share_metrics(facts)
    assert {"ended_fraction", "facts/accuracy_change", "gold/win_rate_over_base"} <= declared
    assert not {"gold", "length", "perplexity", "perplexity_ratio"} & declared
    (stage,) = facts.evaluations
    assert stage.evaluation is not None
    known = stage.evaluation.pop("shares")
    try:
        assert share_metrics(facts) == set(known)  # an evaluation from before they were told
        stage.evaluation["shares"] = ["gold"]
        assert "−120.0 %" not in Page(render(facts, NOW)).text  # gold varies around −1.2
        assert share_metrics(facts) == {"gold"}
    finally:
        stage.evaluation["shares"] = known


@pytest.fixture
def copied(run_folder: Path, tmp_path: Path) -> Path:
    """The run folder again, with its links, to be changed."""
    return (
        Path(shutil.copytree(run_folder.parent.parent, tmp_path / "outputs", symlinks=True))
        / "runs"
        / "first"
    )


def changed(run: Path, **what: object) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, **what}))


def test_a_failed_run_says_so_first(copied: Path, capsys) -> None:
    stages = json.loads((copied / "run.json").read_text())["stages"]
    del stages["evaluate"]
    (copied / "evaluate").unlink()
    stages["ppo"]["status"] = "failed"
    (copied / "ppo" / "lineage.json").unlink()
    changed(copied, stages=stages, error=ERROR)
    assert main([str(copied)]) == 0
    capsys.readouterr()
    html = (copied / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.sections[0] == "failure" and "This run failed at ppo" in page.text
    assert ERROR in page.text and "<b>" not in html.partition("</main>")[0].replace("<b>user", "")
    assert "suites" not in page.sections and "curves" in page.sections and "kl" in page.sections


def test_a_run_that_got_nowhere_has_a_page_too(copied: Path) -> None:
    changed(copied, stages={}, error="sft failed")
    assert Page(render(collect([copied]), NOW)).sections[0] == "failure"


@pytest.mark.parametrize(
    ("value", "outcome"), [(0.7, "passed"), (0.5, "below: ppo was built before"), (None, "not measured")]
)
def test_a_gate_tells_what_was_asked_and_found(copied: Path, value: float | None, outcome: str) -> None:
    gate = {"of": "reward", "metric": "held_out/accuracy", "minimum": 0.6, "value": value}
    changed(copied, gates={"ppo": {"judge": gate}})
    page = Page(render(collect([copied]), NOW))
    assert page.sections.index("gates") == page.sections.index("pipeline") + 1
    assert outcome in page.text and "held_out/accuracy" in page.text


def test_two_evaluations_in_one_run_are_told_apart(copied: Path, facts: Facts) -> None:
    """One measures the same reward model and answers again, otherwise; what both found alike stands once."""
    (first,) = facts.evaluations
    second = copied.parents[1] / "artifacts" / "evaluate-quality"
    shutil.copytree(first.folder.path, second)
    content = json.loads((second / "evaluation.json").read_text())
    for row in content["rows"]:
        if row["suite"] == "held_out" and row["metric"] == "gold" and row["checkpoint"] == "ppo":
            row["value"] += 1
    write_json(second / "evaluation.json", content)
    again = json.loads((second / "reward_models.json").read_text())
    again["reward_models"][0]["sets"]["held_out_pairs"]["accuracy"]["low"] -= 0.001  # other resamples
    write_json(second / "reward_models.json", again)
    lineage = {**json.loads((second / "lineage.json").read_text()), "stage": "reward_quality"}
    write_json(second / "lineage.json", lineage)
    (copied / "reward_quality").symlink_to(second)
    stages = json.loads((copied / "run.json").read_text())["stages"]
    stages["reward_quality"] = {"status": "ran", "artifact": second.name, "seconds": 1.0}
    changed(copied, stages=stages)

    found = collect([copied])
    assert len(found.evaluations) == 2
    assert len(rows_of(found)) == len(rows_of(facts)) + 1
    assert "ppo (reward_quality)" in {row["checkpoint"] for row in rows_of(found)}
    page = Page(render(found, NOW))
    assert len(page.figures["reward-0-reliability"]["data"]) == 2  # the diagonal and one model
    assert "matrix-1" in page.figures and "held_out (reward_quality)" in page.text


@pytest.mark.parametrize("values", [[0.0], [1.0], [0.5, 0.51], [0.0, 1.0], [-0.3, 0.1], [0.98, 1.0], []])
def test_an_axis_of_shares_shows_all_of_them_and_hardly_more_than_there_can_be(values: list[float]) -> None:
    low, high = share_axis(values)["range"]
    assert low < min(values, default=0) and max(values, default=1) < high
    assert min(values, default=0) - 0.21 < low and high <= 1.03
    assert high - low > 0.2
    assert low > -0.03 or min(values) < 0


def test_a_report_opens_with_a_suite_that_its_judge_has_read(facts: Facts) -> None:
    (stage,) = facts.evaluations
    assert stage.evaluation is not None
    rows = stage.evaluation["rows"]
    first = {"checkpoint": "sft", "suite": "questions", "metric": "reward/win_rate_over_base"}
    try:
        stage.evaluation["rows"] = [{**first, "value": 0.6, "low": 0.5, "high": 0.7, "n": 60}, *rows]
        assert {row["suite"] for row in comparisons(facts)} == {"held_out"}  # gold has not read the questions
    finally:
        stage.evaluation["rows"] = rows
