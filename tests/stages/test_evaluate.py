"""The evaluation stage, run as the pipeline runs it: numbers recomputed from its samples, bad input told."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from transformers import AutoTokenizer

from align.artifacts.fingerprint import fingerprint, references
from align.artifacts.metrics import final_values
from align.data.records import Conversation, PreferencePair
from align.data.spec import DataSpec, ScreeningSpec, SourceSpec
from align.models.scalar import load_reward_model
from align.models.spec import ModelSpec
from align.models.tokenizer import load_tokenizer
from align.stages.evaluate import Evaluate

EXACT = {"_target_": "align.rewards.rules.ExactAnswer"}
LENGTH = {"_target_": "align.rewards.rules.LengthReward", "per_character": -0.01}


@pytest.fixture(scope="module")
def trained(
    tiny_model: Path, conversations: list[Conversation], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tiny model after it has learnt most answers by heart."""
    from transformers import AutoModelForCausalLM

    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(tiny_model),
        AutoTokenizer.from_pretrained(tiny_model),
    )
    texts = [
        f"User: {row.messages[0].content}\nAssistant: {row.messages[1].content}{tokenizer.eos_token}"
        for row in conversations
    ]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(150):
        optimiser.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimiser.step()
    folder = tmp_path_factory.mktemp("trained")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def judge(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model with a random head."""
    torch.manual_seed(2)
    tokenizer = load_tokenizer(str(tiny_model))
    folder = tmp_path_factory.mktemp("judge")
    load_reward_model(str(tiny_model), ModelSpec(path=str(tiny_model)), tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def asked(tmp_path: Path, conversations: list[Conversation]) -> dict[str, object]:
    """A suite of the toy questions, as YAML would have it."""
    rows = [
        {
            "prompt": row.messages[0].content,
            "reference": {"answer": row.messages[1].content, "odd": n % 2 == 1},
        }
        for n, row in enumerate(conversations)
    ]
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"source": {"path": str(path), "format": "prompts"}, "groups": ["odd"]}


def bound(**fields: object) -> Evaluate:
    defaults = {"kind": "evaluate", "precision": "fp32", "seed": 0, "decoding": {"max_new_tokens": 24}}
    return TypeAdapter(Evaluate).validate_python({**defaults, **fields})


def test_evaluation_is_what_one_recomputes_from_the_samples(place, tiny_model, trained, judge, asked) -> None:
    stage = bound(
        checkpoints={"base": {"path": str(tiny_model)}, "sft": {"path": str(trained)}},
        suites={"asked": asked},
        rewards={
            "right": EXACT,
            "judged": {"_target_": "align.rewards.learned.LearnedReward", "model": str(judge)},
        },
        compare={"sft": "base"},
    )
    io = place("evaluate")
    assert stage.check(io) == []
    stage.run(io)

    written = json.loads((io.output.path / "evaluation.json").read_text())
    rows = {(row["checkpoint"], row["suite"], row["metric"]): row for row in written["rows"]}
    samples = [json.loads(line) for line in io.output.samples.read_text().splitlines()]
    distinct = {sample["prompt"][0]["content"]: sample for sample in samples}.values()  # repeats answer alike

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    for name in ("base", "sft"):
        for reward in ("right", "judged"):
            scores = [sample["completions"][name]["scores"][reward] for sample in distinct]
            row = rows[name, "asked", reward]
            assert row["value"] == pytest.approx(mean(scores)) and row["n"] == 12
            assert row["low"] <= row["value"] <= row["high"]
    pairs = [
        [sample["completions"][name]["scores"]["right"] for name in ("sft", "base")] for sample in distinct
    ]
    won = mean([1.0 if ours > theirs else 0.5 if ours == theirs else 0.0 for ours, theirs in pairs])
    assert rows["sft", "asked", "right/win_rate_over_base"]["value"] == pytest.approx(won)
    assert rows["sft", "asked", "right"]["value"] > rows["base", "asked", "right"]["value"] + 0.5
    assert {"asked/odd=false", "asked/odd=true"} <= {suite for _, suite, _ in rows}
    assert set(written["rows"][0]) == {"checkpoint", "suite", "metric", "value", "low", "high", "n"}
    assert written["suites"]["asked"]["prompts"] == 16 and written["decoding"]["max_new_tokens"] == 24
    assert final_values(io.output.metrics)["sft/asked/right"] == rows["sft", "asked", "right"]["value"]
    assert json.loads(io.output.data.read_text())["suites"]["asked"]["rows_in"] == 16


def test_a_second_evaluation_reuses_the_completions(place, tiny_model, asked) -> None:
    given = {"checkpoints": {"base": {"path": str(tiny_model)}}, "suites": {"asked": asked}}
    first, second = place("first"), place("second")
    bound(**given, rewards={"right": EXACT}).run(first)
    (kept,) = (first.outputs / "completions").iterdir()
    written = kept.stat().st_mtime_ns

    bound(**given, rewards={"brief": LENGTH}).run(second)
    assert kept.stat().st_mtime_ns == written and len(list(kept.parent.iterdir())) == 1
    assert final_values(second.output.metrics)["base/asked/brief"] < 0


def test_reward_models_are_measured_on_held_out_pairs(
    place, judge, tmp_path, pairs: list[PreferencePair]
) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [
        {
            "prompt": row.prompt[0].content,
            "chosen": row.chosen[0].content,
            "rejected": row.rejected[0].content,
        }
        for row in pairs
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = DataSpec(
        sources={"pairs": SourceSpec(path=str(path), format="pairs")},
        held_out=6,
        screening=ScreeningSpec(duplicates="keep"),
    )
    stage = bound(reward_models={"judge": {"path": str(judge)}}, data=data)
    io = place("evaluate")
    assert stage.check(io) == []
    stage.run(io)

    written = json.loads((io.output.path / "evaluation.json").read_text())
    accuracy, margin = written["rows"]
    assert (accuracy["checkpoint"], accuracy["suite"], accuracy["metric"]) == (
        "judge",
        "held_out_pairs",
        "accuracy",
    )
    assert 0 <= accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1
    told = json.loads((io.output.path / "reward_models.json").read_text())["reward_models"][0]
    assert told["sets"]["held_out_pairs"]["accuracy"] == {
        **{name: accuracy[name] for name in ("value", "low", "high", "n")}, "pairs": 6
    }  # fmt: skip
    assert accuracy["n"] == margin["n"] >= 2, "prompts"


def test_references_are_edges_and_names_are_not_identity(asked) -> None:
    def stage(name: str) -> Evaluate:
        return bound(
            checkpoints={"policy": {"path": f"stage:{name}"}},
            suites={"asked": asked},
            rewards={"judged": {"_target_": "align.rewards.learned.LearnedReward", "model": "stage:reward"}},
        )

    assert references(stage("sft")) == {"sft", "reward"}
    parents = {"sft": "a" * 12, "tuned": "a" * 12, "reward": "b" * 12}
    assert fingerprint(stage("sft"), parents) == fingerprint(stage("tuned"), parents)
    assert fingerprint(stage("sft"), parents) != fingerprint(stage("sft"), {**parents, "sft": "c" * 12})


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "nothing to evaluate"),
        ({"checkpoints": {"base": {"path": "x"}}}, "suites: the checkpoints are asked nothing"),
        ({"reward_models": {"judge": {"path": "x"}}}, "reward_models: these need `data`"),
        ({"compare": {"dpp": "base"}}, "compare.dpp: no checkpoint 'dpp' here"),
        ({"compare": {"base": ["sfr"]}}, "compare.base: no checkpoint 'sfr' here"),
        ({"compare": {"base": "base"}}, "compare.base: a checkpoint is not compared with itself"),
        (
            {"rewards": {"judged": {"_target_": "align.rewards.learned.LearnedReward"}}},
            "needs the argument 'model'",
        ),
    ],
)
def test_contradictions_are_told_at_binding(fields, problem) -> None:
    with pytest.raises(ValidationError) as refused:
        bound(**fields)
    assert problem in str(refused.value)


def test_suite_rewards_must_exist(tiny_model, asked) -> None:
    with pytest.raises(
        ValidationError, match=r"suites.asked.rewards: no reward 'rihgt' here \(right\); did you mean right"
    ):
        bound(
            checkpoints={"base": {"path": str(tiny_model)}},
            suites={"asked": {**asked, "rewards": ["rihgt"]}},
            rewards={"right": EXACT},
        )


def test_check_tells_everything_at_once(place, tiny_model, asked, tmp_path) -> None:
    mute = Path(shutil.copytree(tiny_model, tmp_path / "mute"))
    (mute / "chat_template.jinja").unlink()
    stage = bound(
        checkpoints={
            "base": {"path": str(tiny_model)},
            "mute": {"path": str(tmp_path / "mute")},
            "absent": {"path": str(tmp_path / "absent")},
        },
        suites={
            "asked": asked,
            "lost": {"source": {"path": str(tmp_path / "lost.jsonl"), "format": "prompts"}},
        },
        rewards={
            "right": {**EXACT, "key": "solution"},
            "form": {"_target_": "align.rewards.rules.PatternReward", "pattern": "("},
            "judged": {"_target_": "align.rewards.learned.LearnedReward", "model": str(tmp_path / "absent")},
        },
    )
    found = stage.check(place("evaluate"))

    def told(start: str) -> str:
        (line,) = [line for line in found if line.startswith(start)]
        return line

    assert len(found) == 6
    assert "lost.jsonl" in told("suites.lost.source: ")
    assert "chatml, llama3, gemma or plain" in told("checkpoints.mute.chat_template: ")
    assert "cannot load a tokenizer" in told("checkpoints.absent.path: ")
    assert "needs `solution`" in told("rewards.right: cannot score suite asked: ")
    assert "not a regular expression" in told("rewards.form: ")
    assert "cannot load a tokenizer" in told("rewards.judged.path: ")


def test_a_suite_names_the_rewards_that_score_it(place, tiny_model, asked) -> None:
    stage = bound(
        checkpoints={"base": {"path": str(tiny_model)}},
        suites={"asked": {**asked, "rewards": ["brief"]}},
        rewards={"brief": LENGTH, "gold": {"_target_": "align.rewards.rules.SandboxGold"}},
    )
    io = place("evaluate")
    assert stage.check(io) == []
    stage.run(io)
    rows = json.loads((io.output.path / "evaluation.json").read_text())["rows"]
    assert {row["metric"] for row in rows} == {"brief", "length", "ended_fraction"}


def test_models_that_are_still_to_be_built_are_not_looked_at(place, asked) -> None:
    stage = bound(
        checkpoints={"sft": {"path": "stage:sft"}},
        suites={"asked": asked},
        rewards={"judged": {"_target_": "align.rewards.learned.LearnedReward", "model": "stage:reward"}},
    )
    inputs = {"sft": Path("/nowhere/sft-123"), "reward": Path("/nowhere/reward-123")}
    assert stage.check(place("evaluate", inputs)) == []
