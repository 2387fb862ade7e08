"""Best of n: what is kept is what the reward likes best among what the checkpoint says at n seeds."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from align.data.records import Conversation
from align.stages.evaluate import Evaluate

LENGTH = {"_target_": "align.rewards.rules.LengthReward", "per_character": 1.0}


def bound(model: Path, suite: Path, **fields: object) -> Evaluate:
    given = {
        "kind": "evaluate",
        "precision": "fp32",
        "seed": 0,
        "decoding": {"temperature": 1, "max_new_tokens": 12},
        "checkpoints": {"base": {"path": str(model)}},
        "suites": {"asked": {"source": {"path": str(suite), "format": "prompts"}}},
        "rewards": {"length": LENGTH},
        "best_of": {"best": {"checkpoint": "base", "reward": "length", "n": 3}},
        **fields,
    }
    return TypeAdapter(Evaluate).validate_python(given)


@pytest.fixture
def suite(tmp_path: Path, conversations: list[Conversation]) -> Path:
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps({"prompt": row.messages[0].content}) + "\n" for row in conversations))
    return path


def test_the_best_of_three_draws_is_kept(place, tiny_model: Path, suite: Path) -> None:
    stage = bound(tiny_model, suite, compare={"best": "base"})
    io = place("evaluate")
    assert stage.check(io) == []
    stage.run(io)
    said = [
        {name: entry["text"] for name, entry in json.loads(line)["completions"].items()}
        for line in io.output.samples.read_text().splitlines()
    ]
    draws = []
    for seed in range(3):
        alone = replace(stage, best_of={}, compare={}, decoding=replace(stage.decoding, seed=seed))
        other = place(f"seed{seed}")
        alone.run(other)
        lines = other.output.samples.read_text().splitlines()
        draws.append([json.loads(line)["completions"]["base"]["text"] for line in lines])

    assert [row["base"] for row in said] == draws[0]
    assert [row["best"] for row in said] == [max(texts, key=len) for texts in zip(*draws, strict=True)]
    rows = json.loads((io.output.path / "evaluation.json").read_text())["rows"]
    assert any(row["checkpoint"] == "best" and "win_rate_over_base" in row["metric"] for row in rows)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"best_of": {"best": {"checkpoint": "bass", "reward": "length"}}}, "did you mean base?"),
        ({"best_of": {"best": {"checkpoint": "base", "reward": "lenght"}}}, "did you mean length?"),
        ({"best_of": {"base": {"checkpoint": "base", "reward": "length"}}}, "choose another"),
        ({"decoding": {"max_new_tokens": 12}}, "greedy"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    tiny_model: Path, suite: Path, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        bound(tiny_model, suite, **changes)


def test_a_suite_without_the_best_leaves_the_others_compared(place, tiny_model: Path, suite: Path) -> None:
    """Greedy answers have no best one, and what the reward cannot score is not chosen among by it."""
    source = {"source": {"path": str(suite), "format": "prompts"}}
    exact = {"_target_": "align.rewards.rules.ExactAnswer"}  # the prompts bring no answer
    judge = {"source": {"_target_": "align.judges.scored.Scored", "reward": LENGTH}}
    stage = bound(
        tiny_model,
        suite,
        checkpoints={"base": {"path": str(tiny_model)}, "twin": {"path": str(tiny_model)}},
        suites={
            "greedy": {**source, "decoding": {"max_new_tokens": 12}, "rewards": ["length"]},
            "asked": {**source, "rewards": ["length"]},
        },
        rewards={"length": LENGTH, "right": exact},
        best_of={"best": {"checkpoint": "base", "reward": "right", "n": 2}},
        compare={"twin": "base", "best": "base"},
        judges={"length": judge},
    )
    io = place("evaluate")
    assert stage.check(io) == []
    stage.run(io)
    boards = json.loads(io.output.leaderboards.read_text())["leaderboards"]
    assert {board["suite"] for board in boards} == {"greedy", "asked"}
    assert all([pair["checkpoint"] for pair in board["pairs"]] == ["twin"] for board in boards)
