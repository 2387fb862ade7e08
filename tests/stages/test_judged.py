"""Judges in the evaluation stage: boards of what was said, and a judge that is not there is told in time."""

import json
import re

import pytest
from pydantic import TypeAdapter, ValidationError

from align.data.errors import DataError
from align.stages.evaluate import Evaluate
from tests.judges.conftest import JudgeServer, answers_shown

LENGTH = {"_target_": "align.rewards.rules.LengthReward", "per_character": 1.0}
SHORT = {"_target_": "align.rewards.rules.LengthReward", "per_character": -1.0}


@pytest.fixture
def asked(tmp_path, conversations):
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps({"prompt": row.messages[0].content}) + "\n" for row in conversations))
    return {"source": {"path": str(path), "format": "prompts"}}


@pytest.fixture
def server():
    def longer(messages) -> str:
        one, other = map(len, answers_shown(messages))
        return f"Verdict: {'A' if one > other else 'B' if other > one else 'tie'}"

    found = JudgeServer(longer)
    yield found
    found.close()


def bound(model, asked, judges, **fields) -> Evaluate:
    given = {
        "kind": "evaluate", "precision": "fp32", "seed": 0, "resamples": 100,
        "decoding": {"temperature": 1, "max_new_tokens": 16},
        "checkpoints": {"base": {"path": str(model)}},
        "best_of": {"long": {"checkpoint": "base", "reward": "length", "n": 3},
                    "short": {"checkpoint": "base", "reward": "brevity", "n": 3}},
        "suites": {"asked": asked}, "rewards": {"length": LENGTH, "brevity": SHORT},
        "compare": {"long": ["base", "short"]}, "judges": judges, **fields,
    }  # fmt: skip
    return TypeAdapter(Evaluate).validate_python(given)


def by_length(**options):
    return {"source": {"_target_": "align.judges.scored.Scored", "reward": LENGTH}, **options}


def endpoint(url, **options):
    source = {"_target_": "align.judges.endpoint.Endpoint", "base_url": url, "model": "m", "retries": 0}
    return {"source": source, **options}


def test_a_board_is_what_one_counts_from_the_samples(place, tiny_model, asked, server) -> None:
    judges = {"length": by_length(pairs="all"), "served": endpoint(server.url, canaries=2, max_prompts=10)}
    stage = bound(tiny_model, asked, judges)
    io = place("evaluate")
    assert stage.check(io) == []
    stage.run(io)

    content = json.loads(io.output.leaderboards.read_text())
    boards = {board["judge"]: board for board in content["leaderboards"]}
    samples = [json.loads(line)["completions"] for line in io.output.samples.read_text().splitlines()]
    found = {(pair["checkpoint"], pair["baseline"]): pair for pair in boards["length"]["pairs"]}
    assert set(found) == {("long", "base"), ("short", "base"), ("short", "long")}
    prompts = json.loads(io.output.comparisons.read_text().splitlines()[0])["prompts"]
    for (one, other), pair in found.items():
        shares: dict[str, list[float]] = {}
        for name, row in zip(prompts, samples, strict=True):
            ours, theirs = len(row[one]["text"]), len(row[other]["text"])
            shares.setdefault(name, []).append((1 + (ours > theirs) - (ours < theirs)) / 2)
        assert pair["wins"] == sum(sum(own) / len(own) > 0.5 for own in shares.values())
        assert pair["is_too_few"] and pair["winner"] is None
    assert {entry["checkpoint"] for entry in boards["length"]["checkpoints"]} == {"base", "long", "short"}

    served = boards["served"]
    assert served["comparisons"] == 20 and served["shown_first"] == 0.5 and served["consistent"] == 1.0
    assert served["canaries"]["asked"] >= 1
    assert [pair["wins"] for pair in served["pairs"]] == [
        sum(value > 0.5 for value in line["values"])
        for line in map(json.loads, io.output.comparisons.read_text().splitlines())
        if line["judge"] == "served"
    ]


def test_a_judge_that_is_not_there_is_told_before_anything_is_generated(place, tiny_model, asked) -> None:
    stage = bound(tiny_model, asked, {"gone": endpoint("http://127.0.0.1:9/v1")})
    io = place("evaluate")
    (problem,) = stage.check(io)
    assert problem.startswith("judges.gone.source: cannot reach http://127.0.0.1:9/v1")
    with pytest.raises(DataError, match="judges.gone.source: cannot reach"):
        stage.run(io)
    assert not (io.outputs / "completions").exists()


def test_a_judge_that_leaves_leaves_a_partial_board(place, tiny_model, asked, server) -> None:
    judge, replies = server.reply, []

    def leaving(messages):
        replies.append(1)
        return 500 if len(replies) > 9 else judge(messages)

    server.reply = leaving
    stage = bound(tiny_model, asked, {"served": endpoint(server.url)})
    io = place("evaluate")
    stage.run(io)
    (board,) = json.loads(io.output.leaderboards.read_text())["leaderboards"]
    assert board["status"] == "partial" and board["missing"]["failed"] > 0
    assert board["pairs"][0]["win_rate"]["n"] > 0, "what was said is kept"
    kept = next((io.outputs / "verdicts").iterdir()).read_text()
    assert len(re.findall("\n", kept)) > 1

    server.reply = judge
    again = place("again")
    stage.run(again)
    (board,) = json.loads(again.output.leaderboards.read_text())["leaderboards"]
    assert board["status"] == "complete" and not board["missing"]


@pytest.mark.parametrize(
    "judges, fields, told",
    [
        ({"x": by_length(suites=["akset"])}, {}, "no suite 'akset' here .*did you mean asked"),
        ({"x": by_length(pairs="compare")}, {"compare": {}}, "`compare` names no pairs"),
        ({"x": {"source": {"_target_": "align.judges.scored.Scored"}}}, {}, "needs the argument 'reward'"),
        (
            {},
            {"judge_sets": {"s": {"sources": {"s": {"path": "x", "format": "pairs"}}}}},
            "name reward_models",
        ),
    ],
)
def test_judges_that_cannot_be_are_refused(tiny_model, asked, judges, fields, told) -> None:
    with pytest.raises(ValidationError, match=told):
        bound(tiny_model, asked, judges, **fields)
