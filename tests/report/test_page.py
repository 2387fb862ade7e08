"""What a report says, section by section, read from its HTML."""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from align.report.collect import Facts, ReportError, collect
from align.report.command import main
from align.report.page import render
from tests.report.conftest import CHECKPOINTS, PLANTED, PROMPTS, lines

NOW = datetime(2026, 1, 2, 3, 4)
EXPECTED = [
    "overview", "alarms", "pipeline", "suites", "risk-coverage", "tax", "win-rates", "leaderboard",
    "reward-models", "over-optimisation", "length", "answers", "curves", "entropy", "kl", "time", "cost",
    "data", "lineage",
]  # fmt: skip


class Page(HTMLParser):
    """Ids of sections, figures, table cells and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sections: list[str] = []
        self.figures: dict[str, Any] = {}
        self.tags: list[str] = []
        self.text = ""
        self._chart = ""
        self._skipped = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self._skipped += tag in ("script", "style")
        if tag == "section":
            self.sections.append(str(given["id"]))
        if tag == "figure":
            self._chart = str(given["id"])
        if figure := given.get("data-figure"):
            self.figures[self._chart] = json.loads(figure)

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.text += data


@pytest.fixture(scope="module")
def html(facts: Facts) -> str:
    return render(facts, NOW)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_section_that_has_data_is_there_once_and_in_order(page: Page) -> None:
    assert page.sections == EXPECTED


def test_it_is_written_quickly_and_is_small(run_folder: Path, tmp_path: Path, capsys) -> None:
    started = time.process_time()
    assert main([str(run_folder), "--to", str(tmp_path / "new" / "r.html")]) == 0
    assert time.process_time() - started < 10
    assert (tmp_path / "new" / "r.html").stat().st_size < 8e6
    assert capsys.readouterr().out.strip() == str(tmp_path / "new" / "r.html")


def test_a_folder_to_write_to_gets_the_page(run_folder: Path, tmp_path: Path, capsys) -> None:
    assert main([str(run_folder), "--to", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")


def test_a_planted_script_is_text(html: str, page: Page) -> None:
    assert PLANTED not in html
    assert PLANTED in page.text
    assert page.tags.count("script") == 2  # plotly's and our own
    assert "img" not in page.tags


def test_the_alarm_of_ppo_stands_at_the_top(page: Page) -> None:
    assert page.sections.index("alarms") == 1
    assert "Alarms (2)" in page.text
    assert page.text.count("the score rises while gold falls") == 1
    assert "at updates 12 to 57, 3 times" in page.text
    assert "at updates 20 to 44, 2 times" in page.text and "68% of the completions end" in page.text


def test_win_rates_are_those_of_the_evaluation(facts: Facts, page: Page) -> None:
    (board,) = (facts.evaluations[0].leaderboards or {})["leaderboards"]
    pairs = {(pair["checkpoint"], pair["baseline"]): pair["win_rate"] for pair in board["pairs"]}
    row = pairs["sft", "base"]
    assert f"{100 * row['value']:.1f} % [{100 * row['low']:.1f}, {100 * row['high']:.1f}]" in page.text
    drawn = page.figures["matrix-0"]["data"][0]
    names = drawn["x"]
    assert drawn["z"][names.index("sft")][names.index("base")] == pytest.approx(100 * row["value"])
    assert drawn["z"][names.index("base")][names.index("sft")] == pytest.approx(100 - 100 * row["value"])


def test_the_strongest_leads_the_leaderboard(facts: Facts, page: Page) -> None:
    (board,) = (facts.evaluations[0].leaderboards or {})["leaderboards"]
    drawn = page.figures["leaderboard-0"]["data"][0]
    assert drawn["y"][0] == "base"  # at the bottom
    assert drawn["x"] == [item["strength"] for item in reversed(board["checkpoints"])]
    assert "60 prompts, 360 comparisons." in page.text


def test_without_leaderboards_the_win_rates_of_the_evaluation_are_drawn(run_folder: Path) -> None:
    found = collect([run_folder])
    object.__setattr__(found.evaluations[0], "leaderboards", None)
    figures = Page(render(found, NOW)).figures
    assert {"matrix-0", "matrix-1"} <= set(figures) and "leaderboard-0" not in figures


def test_a_group_of_few_prompts_has_no_interval(page: Page) -> None:
    assert "(too few)" in page.text


def test_the_peak_that_was_put_into_gold_is_found(page: Page) -> None:
    curves = {trace["name"]: trace for trace in page.figures["overoptimisation-ppo"]["data"]}
    fitted = curves["gold (measured), fitted"]
    assert fitted["x"][max(range(60), key=lambda at: fitted["y"][at])] == pytest.approx(2.718, abs=0.1)
    assert curves["paid score"]["y"][-1] > 1 > curves["paid score"]["y"][0] == 0
    assert "fitted peak at d = 2.72 (a KL of 7.39 nats)" in page.text


def test_long_curves_are_thinned_and_say_so(page: Page) -> None:
    (trace, held_out) = page.figures["curve-sft-0"]["data"]
    assert len(trace["x"]) == 300 and trace["x"][0] == 10 and trace["x"][-1] == 609
    assert (held_out["x"], held_out["y"]) == ([600], [0.2])
    assert "300 of 600 points are drawn." in page.text


def test_answers_of_all_checkpoints_stand_side_by_side(run_folder: Path, page: Page) -> None:
    samples = list(lines(run_folder / "evaluate" / "samples.jsonl"))
    assert page.tags.count("article") == len(samples) == PROMPTS
    for name in CHECKPOINTS[:3]:
        assert samples[5]["completions"][name]["text"] in page.text


def test_data_is_told_with_its_card_and_what_was_left_out(page: Page) -> None:
    for word in ("CC-BY-NC-4.0", "duplicate", "sft.jsonl:7"):
        assert word in page.text


def test_lineage_names_every_artifact(run_folder: Path, page: Page) -> None:
    for name in ("pretrain", "sft", "reward", "dpo", "ppo", "evaluate"):
        assert (run_folder / name).resolve().name in page.text


def test_without_a_price_no_cost_is_told_with_one_it_is(facts: Facts, page: Page) -> None:
    assert "No price is configured" in page.text
    for stage in facts.stages:
        assert stage.lineage is not None
        stage.lineage["hardware"]["price_per_device_hour"] = 3.6
    try:
        priced = Page(render(facts, NOW)).text
    finally:
        for stage in facts.stages:
            assert stage.lineage is not None
            stage.lineage["hardware"]["price_per_device_hour"] = None
    assert "cost 0.30 at the configured price" in " ".join(priced.split())  # 6 stages of 50 s at 3.6 an hour


def test_an_artifact_brings_its_ancestors_and_lacks_what_it_lacks(run_folder: Path) -> None:
    found = collect([run_folder / "dpo"])
    assert [stage.name for stage in found.stages] == ["pretrain", "sft", "dpo"]
    sections = Page(render(found, NOW)).sections
    assert "curves" in sections and "answers" not in sections and "over-optimisation" not in sections


def test_two_runs_make_one_page_with_every_artifact_once(run_folder: Path) -> None:
    found = collect([run_folder, run_folder / "dpo"])
    assert len(found.stages) == 6


def test_a_model_folder_of_somebody_else_is_described(tiny_model: Path) -> None:
    text = Page(render(collect([tiny_model]), NOW)).text
    vocabulary = str(json.loads((tiny_model / "config.json").read_text())["vocab_size"])
    for word in ("LlamaForCausalLM", "F32", tiny_model.name, vocabulary):
        assert word in text


def test_a_model_of_the_hub_is_described_and_one_that_is_not_there_is_told(
    tiny_model: Path, tmp_path: Path
) -> None:
    place = tmp_path / "cache" / "models--me--tiny"
    shutil.copytree(tiny_model, place / "snapshots" / "0123abc")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0123abc")
    environment = {**os.environ, "HF_HUB_CACHE": str(place.parent), "HF_HUB_OFFLINE": "1"}

    def report(name: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "align.report", name, "--to", str(tmp_path / "page.html")]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    done = report("me/tiny")
    assert done.returncode == 0, done.stderr
    text = Page((tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert "me/tiny" in text and "LlamaForCausalLM" in text and "F32" in text
    for absent in ("me/other", "me/tiny@v2"):
        done = report(absent)
        assert done.returncode == 2
        assert done.stderr.startswith(
            f"{absent.partition('@')[0]}: no folder, and not to be had from the Hub"
        )


def test_a_place_without_anything_is_told(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path)]) == 2
    assert "no run folder" in capsys.readouterr().err
    with pytest.raises(ReportError, match="damaged|changed"):
        (tmp_path / "lineage.json").write_text("{")
        collect([tmp_path])
