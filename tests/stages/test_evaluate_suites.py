"""Suites of choices, the tax and failures, as the evaluation stage runs them."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from align.data.errors import DataError
from align.stages.evaluate import Evaluate

NUMBER = {"_target_": "align.evaluation.metrics.number.FinalNumber"}
EXACT = {"_target_": "align.rewards.rules.ExactAnswer"}
PATTERN = {"_target_": "align.rewards.rules.PatternReward", "pattern": "x"}
SCORED = {"_target_": "align.judges.scored.Scored", "reward": PATTERN}


def bound(**fields):
    defaults = {"kind": "evaluate", "precision": "fp32", "seed": 0, "decoding": {"max_new_tokens": 8}}
    return TypeAdapter(Evaluate).validate_python({**defaults, **fields})


@pytest.fixture
def written(tmp_path, conversations, texts):
    """Questions, questions with choices and texts, as files."""
    answers = sorted({row.messages[1].content for row in conversations})[:3]
    asked = [{"prompt": row.messages[0].content} for row in conversations[:6]]
    choices = [{**row, "reference": {"choices": answers, "answer": answers[0]}} for row in asked]
    for name, rows in (("asked", asked), ("choices", choices), ("texts", [{"text": text} for text in texts])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def source(name, **options):
        kind = "text" if name == "texts" else "prompts"
        return {"path": str(tmp_path / f"{name}.jsonl"), "format": kind, **options}

    return source


def result(io):
    return json.loads(io.output.evaluation.read_text())


def test_choices_and_texts_are_in_the_table(place, tiny_model, written):
    stage = bound(
        checkpoints={"base": {"path": str(tiny_model)}, "twin": {"path": str(tiny_model)}},
        suites={"facts": {"source": written("choices"), "choose": "likelihood"}},
        rewards={"x": PATTERN},
        tax={"texts": {"sources": {"texts": written("texts")}}},
    )
    io = place("evaluate")
    assert stage.check(io) == []
    stage.run(io)
    rows = {(row["checkpoint"], row["suite"], row["metric"]): row for row in result(io)["rows"]}
    assert result(io)["status"] == "complete" and result(io)["suites"]["facts"]["choose"] == "likelihood"
    assert {"accuracy", "accuracy_by_length"} == {metric for _, suite, metric in rows if suite == "facts"}
    assert rows["twin", "tax", "perplexity_ratio"]["value"] == pytest.approx(1)
    assert rows["twin", "tax", "facts/accuracy_change"]["value"] == 0
    sample = json.loads(io.output.samples.read_text().splitlines()[0])
    assert sample["completions"]["base"]["text"] in sample["reference"]["choices"]


def test_judges_are_not_asked_about_what_no_reward_scores(place, tiny_model, written):
    judge = {"_target_": "align.judges.scored.Scored", "reward": {**EXACT}}
    stage = bound(
        checkpoints={"base": {"path": str(tiny_model)}, "twin": {"path": str(tiny_model)}},
        suites={
            "facts": {"source": written("choices"), "choose": "likelihood"},
            "asked": {"source": written("asked"), "rewards": []},
        },
        rewards={"right": EXACT},
        judges={"right": {"source": judge}},
        compare={"twin": "base"},
    )
    io = place("evaluate")
    assert stage.check(io) == []
    stage.run(io)
    assert {row["suite"] for row in result(io)["rows"]} == {"asked", "facts"}
    assert json.loads((io.output.path / "leaderboards.json").read_text())["leaderboards"] == []


def test_a_tax_beyond_its_bound_fails_once_all_is_written(place, tiny_model, written):
    stage = bound(
        checkpoints={"base": {"path": str(tiny_model)}, "twin": {"path": str(tiny_model)}},
        suites={"asked": {"source": written("asked")}},
        tax={"texts": {"sources": {"texts": written("texts")}}, "max_perplexity_ratio": 0.5},
    )
    io = place("evaluate")
    with pytest.raises(
        DataError, match=r"tax.max_perplexity_ratio: .* of twin .* is 1.00 times that of base"
    ):
        stage.run(io)
    assert result(io)["status"] == "complete" and result(io)["rows"]


def test_what_fails_does_not_cost_the_rest(place, tiny_model, written):
    long = {"max_new_tokens": 250}
    stage = bound(
        checkpoints={"base": {"path": str(tiny_model)}},
        suites={
            "asked": {"source": written("asked")},
            "long": {"source": written("asked"), "decoding": long},
        },
    )
    io = place("evaluate")
    with pytest.raises(
        DataError, match=r"(?s)suites.long: base: a prompt of .* is partial: what was measured is kept"
    ):
        stage.run(io)
    found = result(io)
    assert found["status"] == "partial"
    assert [(item["suite"], item["checkpoint"]) for item in found["failures"]] == [("long", "base")]
    assert {row["suite"] for row in found["rows"]} == {"asked"}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"tax": {"max_accuracy_loss": 0.1}}, "tax.max_accuracy_loss: no suite is multiple choice"),
        ({"tax": {"base": "bsae"}}, r"tax.base: no checkpoint 'bsae' here \(base\); did you mean base\?"),
        (
            {
                "suites": {
                    "a": {
                        "source": {"path": "a", "format": "prompts"},
                        "choose": "likelihood",
                        "metric": NUMBER,
                    }
                }
            },
            "leave `metric` or `choose` out",
        ),
        (
            {
                "suites": {"a": {"source": {"path": "a", "format": "prompts"}, "rewards": []}},
                "rewards": {"x": PATTERN},
                "judges": {"j": {"source": SCORED, "pairs": "all", "suites": ["a"]}},
            },
            r"judges.j.suites: no judge reads answers to a: it is multiple choice, or no reward scores it",
        ),
    ],
)
def test_contradictions_are_told_at_binding(fields, problem, tiny_model):
    given = {
        "checkpoints": {"base": {"path": "x"}},
        "suites": {"a": {"source": {"path": "a", "format": "prompts"}}},
    }
    with pytest.raises(ValidationError, match=problem):
        bound(**{**given, **fields})


def test_absent_files_are_told_before_anything_is_generated(place, tiny_model, written, tmp_path):
    jailbreak = {
        "_target_": "align.evaluation.variants.attacks.Jailbreak",
        "path": str(tmp_path / "none.json"),
    }
    stage = bound(
        checkpoints={"base": {"path": str(tiny_model)}},
        suites={
            "attacks": {"source": written("asked"), "variants": {"jailbreak": jailbreak}},
            "sums": {"source": written("asked"), "metric": NUMBER},
            "facts": {"source": written("asked"), "choose": "likelihood"},
        },
        tax={"texts": {"sources": {"texts": {"path": str(tmp_path / "none.jsonl"), "format": "text"}}}},
    )
    told = "\n".join(stage.check(place("evaluate")))
    assert "suites.attacks.variants.jailbreak: path: " in told and "none.json does not exist" in told
    assert "suites.sums.metric: needs `answer` in the reference" in told
    assert "suites.facts.choose: needs `choices` in the reference" in told
    assert "tax.texts: " in told
