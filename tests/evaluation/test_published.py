"""Verdicts that others published come to the numbers that they published; an attack on the judge is seen."""

import gzip
import json
from pathlib import Path

import pytest

from align.data.errors import DataError
from align.evaluation.judged import Judged, write_judged
from align.evaluation.published import published
from align.evaluation.ranked_runs import main


def board_of(tmp_path: Path, *sources: Path) -> dict:
    assert main([*map(str, sources), "--json", str(tmp_path / "board.json")]) == 0
    return json.loads((tmp_path / "board.json").read_text())


def test_the_published_row_of_qwen_is_reproduced(align_data, tmp_path, capsys):
    path = align_data / "alpaca_eval" / "annotations_Qwen-14B-Chat_weighted.json.gz"
    (board,) = board_of(tmp_path, path)["leaderboards"]
    (pair,) = board["pairs"]
    assert 100 * pair["win_rate"]["value"] == pytest.approx(7.502, abs=5e-4)
    assert 100 * pair["standard_error"] == pytest.approx(0.815, abs=5e-4)
    assert (pair["wins"], pair["losses"], pair["ties"]) == (57, 742, 6)
    assert (pair["checkpoint"], pair["winner"]) == ("Qwen-14B-Chat", "gpt4_1106_preview")
    assert "7.5 %" in capsys.readouterr().out


def test_nulls_are_skipped_and_ties_count_half(align_data, tmp_path):
    path = align_data / "alpaca_eval" / "annotations_LMCocktail_alpaca_eval_gpt4.json.gz"
    (board,) = board_of(tmp_path, path)["leaderboards"]
    (pair,) = board["pairs"]
    assert (pair["wins"], pair["losses"], pair["ties"]) == (740, 62, 1)
    assert pair["win_rate"]["value"] == pytest.approx(740.5 / 803)
    assert board["missing"] == {"unparsed": 2}


def test_the_null_model_is_flagged(align_data, tmp_path, capsys):
    path = align_data / "alpaca_eval" / "annotations_NullModel_weighted.json.gz"
    found = board_of(tmp_path, path)
    (pair,) = found["leaderboards"][0]["pairs"]
    assert pair["win_rate"]["low"] > 0.7, "the judge is fooled"
    assert pair["winner"] is None and pair["is_flagged"]
    (flag,) = found["flags"]
    assert (flag["checkpoint"], flag["kind"], flag["share"]) == ("example", "constant", 1.0)
    assert "a win rate says nothing about such a model" in " ".join(capsys.readouterr().out.split())
    for name in ("Qwen-14B-Chat_weighted", "LMCocktail_alpaca_eval_gpt4"):
        assert not board_of(tmp_path, path.with_name(f"annotations_{name}.json.gz"))["flags"]


def test_runs_are_ranked_together(tmp_path):
    for run, pair in (("one", ("b", "a")), ("two", ("c", "b"))):
        folder = tmp_path / run / "evaluate"
        folder.mkdir(parents=True)
        values = [1.0] * 25 + [0.0] * 15
        prompts = [str(number) for number in range(40)]
        match = Judged("j", "s", *pair, prompts, values, {}, [None] * 40, [(1, 1)] * 40)
        write_judged(folder / "comparisons.jsonl", [match])
        (folder / "leaderboards.json").write_text(json.dumps({"leaderboards": [], "flags": []}))
    (board,) = board_of(tmp_path, tmp_path / "one", tmp_path / "two")["leaderboards"]
    assert [entry["checkpoint"] for entry in board["checkpoints"]] == ["c", "b", "a"]


def test_what_is_no_evaluation_is_told(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2 and "an evaluation with `judges` leaves some" in capsys.readouterr().err
    for content, told in (
        ("[]", "expected a JSON array"), ('[{"a": 1}]', "no annotations of AlpacaEval"), ("{", "cannot read"),
    ):  # fmt: skip
        with gzip.open(tmp_path / "x.json.gz", "wt") as stream:
            stream.write(content)
        assert main([str(tmp_path / "x.json.gz")]) == 2 and told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"preference": 0.3}, "preference 0.3 is neither 0, null nor between 1 and 2"),
        ({"preference": 3}, "preference 3 is neither"),
        ({"preference": "1"}, "preference '1' is neither"),
        ({"output_1": None}, "output_1 is no text"),
        ({"instruction": 7}, "instruction is no text"),
    ],
)
def test_what_is_no_annotation_is_told_by_row(tmp_path, changed, problem):
    row = {"instruction": "q", "output_1": "a", "output_2": "b", "preference": 1.0}
    row |= {"generator_1": "x", "generator_2": "y", "annotator": "j"}
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([row, {**row, **changed}]))
    with pytest.raises(DataError, match=f"rows.json: row 2: {problem}"):
        published(path)
