"""Suites keep every prompt, sort them into groups, and say what is wrong with a file."""

import json
import subprocess
import sys

import pytest

from align.data.errors import DataError
from align.data.records import Conversation
from align.data.source import load_rows
from align.data.spec import DataSpec, ScreeningSpec, SourceSpec
from align.evaluation.suite import SuiteSpec, load_suite, prompt_of


def test_groups_hold_the_rows_that_say_so(questions, tmp_path):
    suite = load_suite("asked", questions(groups=("kind", "odd")), tmp_path)

    assert len(suite.prompts) == 17, "a repeated prompt stays: it is the suite's author's choice"
    assert list(suite.groups) == ["", "kind=long", "kind=short", "odd=false", "odd=true"]
    assert suite.groups["kind=short"] == [0, 4, 8, 12, 16]
    assert [suite.prompts[row].reference["odd"] for row in suite.groups["odd=true"]] == [True] * 8
    assert suite.clusters == [*range(12), *range(4), 0], "the toy questions repeat after twelve"


def test_max_rows_bounds_the_suite(questions, tmp_path):
    assert len(load_suite("asked", questions(max_rows=5), tmp_path).prompts) == 5


def test_the_digest_is_of_what_is_asked(questions, tmp_path):
    suite = load_suite("asked", questions(), tmp_path)
    grouped = load_suite("other", questions(groups=("odd",)), tmp_path)
    fewer = load_suite("asked", questions(max_rows=16), tmp_path)
    assert suite.digest == grouped.digest != fewer.digest


def test_an_unknown_group_is_told_with_what_there_is(questions, tmp_path):
    with pytest.raises(DataError, match=r"suites.asked.groups: no prompt has 'sort' .*\(answer, kind, odd\)"):
        load_suite("asked", questions(groups=("sort",)), tmp_path)


def test_a_missing_file_is_told(tmp_path):
    spec = SuiteSpec(source=SourceSpec(path=str(tmp_path / "nowhere.jsonl"), format="prompts"))
    with pytest.raises(DataError, match=r"suites.asked.source: .*nowhere.jsonl"):
        load_suite("asked", spec, tmp_path)


def test_a_bad_row_is_told_with_its_line(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps({"prompt": "Who?"}) + "\n" + json.dumps({"question": "Who?"}) + "\n")
    with pytest.raises(DataError, match=r"suites.asked.source: .*bad.jsonl:2: "):
        load_suite("asked", SuiteSpec(source=SourceSpec(path=str(path), format="prompts")), tmp_path)


def test_suites_and_tables_do_not_load_torch():
    code = "import sys, align.evaluation.suite, align.evaluation.table, align.stages.evaluate; "
    code += "sys.exit('torch' in sys.modules or 'datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_held_out_rows_are_asked_and_training_rows_are_not(tmp_path, conversations):
    path = tmp_path / "dialogues.jsonl"
    rows = [{"messages": [turn.as_dict() for turn in row.messages]} for row in conversations]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = DataSpec(
        sources={"talk": SourceSpec(path=str(path), format="messages")},
        held_out=0.3,
        screening=ScreeningSpec(duplicates="keep"),
    )
    trained = {row.messages[0] for row in load_rows(data, Conversation, tmp_path).train}

    suite = load_suite("asked", SuiteSpec(data=data), tmp_path)
    known = {row.messages[0]: row.messages[1].content for row in conversations}
    assert suite.prompts and not trained & {prompt.messages[0] for prompt in suite.prompts}
    assert all(prompt.reference["answer"] == known[prompt.messages[0]] for prompt in suite.prompts)


def test_pairs_are_asked_what_they_answer(pairs):
    prompt = prompt_of(pairs[3])
    assert prompt.messages == pairs[3].prompt and prompt.reference == {"answer": pairs[3].chosen[0].content}


def test_a_sample_of_prompts_is_fixed(questions, tmp_path):
    few, again = (load_suite("asked", questions(max_prompts=6), tmp_path).prompts for _ in range(2))
    every = load_suite("asked", questions(), tmp_path).prompts
    assert few == again != every[:6] and len(few) == 6
    assert all(prompt in every for prompt in few)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "either a `source` .* or `data`"),
        (
            {"data": DataSpec(sources={"a": SourceSpec(path="a", format="text")})},
            "data: nothing is held out to ask",
        ),
    ],
)
def test_a_suite_that_asks_nothing_is_refused(fields, problem):
    with pytest.raises(ValueError, match=problem):
        SuiteSpec(**fields)


def test_plain_text_asks_nothing(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text(json.dumps({"text": "a"}) + "\n")
    spec = SuiteSpec(source=SourceSpec(path=str(path), format="text"))
    with pytest.raises(DataError, match="makes Text rows, and Conversation or PreferencePair or Prompt rows"):
        load_suite("asked", spec, tmp_path)
