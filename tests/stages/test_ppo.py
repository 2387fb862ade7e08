"""PPO, run as the pipeline runs it: it finds what is rewarded, stays near its reference, resumes exactly."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from align.artifacts.metrics import TOTAL_STEPS, read_metrics
from align.config.plugin import PluginSpec
from align.data.records import Conversation, Message
from align.data.spec import DataSpec
from align.stages import AnyStage
from align.stages.ppo import Ppo
from tests.stages.conftest import Place, written

LONG = {"source": {"_target_": "align.rewards.rules.LengthReward", "per_character": 0.1}}
EXACT = "align.rewards.rules.ExactAnswer"


@pytest.fixture
def prompt_data(tmp_path: Path, conversations: list[Conversation]) -> DataSpec:
    rows = [{"prompt": row.messages[0].content, "reference": {"answer": "blue"}} for row in conversations]
    return written(tmp_path / "prompts.jsonl", rows, "prompts")


def stage_of(data: DataSpec, model: Path, **changes: Any) -> Ppo:
    given = {
        "kind": "ppo",
        "policy": {"path": str(model)},
        "data": TypeAdapter(DataSpec).dump_python(data, mode="json"),
        "rewards": {"long": LONG},
        "precision": "fp32",
        "batch_size": 32,
        "updates": 16,
        "seed": 0,
        "decoding": {"temperature": 1, "max_new_tokens": 8},
        "kl": {"coefficient": 0.2},
        "shaping": {"missing_eos": {"mode": "none"}},
        "policy_optimizer": {"learning_rate": 2e-3},
        "value_optimizer": {"learning_rate": 3e-3},
        **changes,
    }
    stage = TypeAdapter(AnyStage).validate_python(given)
    assert isinstance(stage, Ppo)
    return stage


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_score_rises_and_the_policy_stays_near(
    place: Place, tiny_model: Path, prompt_data: DataSpec, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    io = place("ppo")
    stage = stage_of(prompt_data, tiny_model, seed=seed, measured={"answer": {"_target_": EXACT}})

    assert stage.check(io) == []
    stage.run(io)

    rows = [row for row in read_metrics(io.output.metrics) if row["split"] == "train"]
    assert [row["step"] for row in rows] == list(range(1, 17))
    assert abs(rows[0]["objective/kl"]) <= 1e-5, "policy and reference are the same before the first step"
    assert rows[-1]["objective/score"] > rows[0]["objective/score"] + rows[0]["objective/score_deviation"]
    assert 0 < rows[-1]["objective/kl"] < 10
    for row in rows:
        spread = [row[f"objective/score{end}"] for end in ("_min", "_p5", "", "_p95", "_max")]
        assert spread == sorted(spread) and spread[0] < spread[-1]
    assert all(0 < row["text/distinct_1"] <= 1 for row in rows)
    assert all("score/answer" in row for row in rows)
    assert all(row["sampler/difference_max"] < 1e-4 for row in rows), "in fp32 the sampler computes the same"
    assert all(row["policy/ratio_max"] >= row["policy/ratio"] > 0 for row in rows)
    for row in rows:
        sides = row["policy/clip_fraction_low"] + row["policy/clip_fraction_high"]
        assert sides == pytest.approx(row["policy/clip_fraction"], abs=1e-9)
    samples = [json.loads(line) for line in io.output.samples.read_text().splitlines()]
    assert samples[0]["step"] == 1 and samples[-1]["step"] == 16
    told = capsys.readouterr().out
    assert f"-> {rows[-1]['objective/score']:.2f}" in told and "at equal length" in told
    assert rows[0]["objective/score_beyond_length"] == pytest.approx(0, abs=1e-9)
    gained = rows[-1]["objective/score"] - rows[0]["objective/score"]
    assert rows[-1]["objective/score_beyond_length"] < 0.5 * gained, (
        "what is paid for length is not beyond it"
    )
    assert told.count(" -> ") >= 13 and repr(samples[-1]["text"]) in told, "ten samples"
    assert AutoModelForCausalLM.from_pretrained(io.output.model).generation_config.temperature == 1
    assert AutoModelForSequenceClassification.from_pretrained(io.output.path / "value").config.num_labels == 1


def test_a_resumed_run_ends_with_the_same_bits(
    place: Place, tiny_model: Path, prompt_data: DataSpec, dialogue_data: DataSpec
) -> None:
    """T10, trl#2657: all that decides the rest is in the checkpoint, or follows from seed and update."""
    changes = {
        "updates": 4,
        "batch_size": 16,
        "kl": {"coefficient": 0.1, "control": "adaptive", "target": 2},
        "ptx": {"data": TypeAdapter(DataSpec).dump_python(dialogue_data, mode="json"), "batch_size": 4},
    }
    stage = stage_of(prompt_data, tiny_model, **changes)
    assert stage.check(place("straight")) == []
    straight = place("straight", settings={"save_every_steps": 1, "keep_checkpoints": 9})
    stage.run(straight)

    for name in ("policy", "value"):  # T9: updates x epochs x minibatches steps, and the rate is at its end
        adam = torch.load(straight.output.checkpoints / "checkpoint-4" / name / "state.pt")["optimizer"]
        assert {int(moments["step"]) for moments in adam["state"].values()} == {4 * 2 * 2}
        assert [entry["lr"] for entry in adam["param_groups"]] == [0.0]

    elsewhere = straight.output.path.parent / "elsewhere" / straight.output.path.name
    torn = replace(straight, output=type(straight.output)(elsewhere), settings=place("torn").settings)
    shutil.copytree(straight.output.path, torn.output.path)
    shutil.rmtree(torn.output.model)
    shutil.rmtree(torn.output.checkpoints / "checkpoint-4")
    (torn.output.checkpoints / "checkpoint-3" / "state.pt").write_bytes(b"half written")
    stage.run(torn)

    for name in ("model", "value"):
        one, other = (load_file(io.output.path / name / "model.safetensors") for io in (straight, torn))
        assert all(torch.equal(one[key], other[key]) for key in one)

    def numbers(path: Path) -> list[dict[str, float]]:
        return [
            {
                name: value
                for name, value in row.items()
                if not name.startswith("time") and "second" not in name
            }
            for row in read_metrics(path)
        ]

    assert numbers(straight.output.metrics) == numbers(torn.output.metrics)
    trained = [row for row in numbers(straight.output.metrics) if row["split"] == "train"]
    planned = [row[TOTAL_STEPS] for row in numbers(straight.output.metrics) if TOTAL_STEPS in row]
    assert planned == [trained[-1]["step"]], "trl#2530: with minibatches progress ended at a half"
    assert all(row["ptx/loss"] > 0 for row in trained)
    assert straight.output.samples.read_text() == torn.output.samples.read_text()


@pytest.mark.parametrize(
    "changes, path, reason",
    [
        ({"rewards": {}}, "rewards", "nothing is rewarded"),
        ({"batch_size": 9}, "minibatches", "does not divide"),
        ({"kl": {"control": "adaptive", "target": 0}}, "kl.target", "greater than 0"),
        ({"kl": {"control": "adaptive", "coefficient": 0}}, "kl", "0 stays 0"),
        ({"decoding": {"temperature": 0}}, "decoding.temperature", "greedy"),
        # trl#351, trl#925, trl#1857, LLaMA-Factory#664: a negative KL
        ({"decoding": {"temperature": 1, "top_p": 0.9}}, "decoding", "biased"),
        ({"decoding": {"temperature": 1, "top_k": 20}}, "decoding", "biased"),
        ({"kl": {"target": -1}}, "kl.target", "greater than 0"),
        (
            {"kl": {"control": "adaptive", "lowest": 0.1}},
            "kl",
            "0.05 is not between lowest (0.1) and highest",
        ),
        ({"kl": {"control": "adaptive", "highest": 0.01}}, "kl", "0.05 is not between lowest (None)"),
        ({"kl": {"highest": 0.2}}, "kl", "highest: a fixed coefficient does not move"),
        ({"dual_clip": 0.5}, "dual_clip", "above 1"),
        ({"importance_cap": 0.5}, "importance_cap", "1 or above"),
        ({"value_warmup_updates": 16}, "value_warmup_updates", "leave none"),
        ({"shaping": {"missing_eos": {"mode": "subtract", "value": -1}}}, "missing_eos", "rewards"),
        ({"shaping": {"overlong": {"buffer": 9}}}, "overlong", "above decoding.max_new_tokens"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    prompt_data: DataSpec, tiny_model: Path, changes: dict[str, Any], path: str, reason: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        stage_of(prompt_data, tiny_model, **changes)
    assert path in str(refused.value) and reason in str(refused.value)


def test_the_ruler_is_not_for_training(place: Place, tiny_model: Path, prompt_data: DataSpec) -> None:
    gold = {"gold": {"source": {"_target_": "align.rewards.rules.SandboxGold"}}}
    problems = stage_of(prompt_data, tiny_model, rewards=gold).check(place("ppo"))
    assert any("rewards.gold" in line and "measured" in line for line in problems)


def test_scores_are_paid_relative_to_demonstrations_and_values_start_alike(
    place: Place, tiny_model: Path, prompt_data: DataSpec, dialogue_data: DataSpec, tmp_path: Path
) -> None:
    """A value model that starts as the reward model gives its normalised score at the last token (T16).

    And it is saved: earlier code dropped it.
    """
    from align.models.scalar import load_reward_model
    from align.models.spec import ModelSpec
    from align.models.tokenizer import load_tokenizer
    from align.rewards.learned import LearnedReward

    tokenizer = load_tokenizer(str(tiny_model))
    judge = tmp_path / "judge"
    load_reward_model(str(tiny_model), ModelSpec(path=str(tiny_model)), tokenizer).save_pretrained(judge)
    tokenizer.save_pretrained(judge)
    source = {"_target_": "align.rewards.learned.LearnedReward", "model": str(judge)}
    demonstrations = TypeAdapter(DataSpec).dump_python(dialogue_data, mode="json")
    stage = stage_of(
        prompt_data,
        tiny_model,
        value={"path": str(judge)},
        rewards={"judge": {"source": source}},
        shaping={"missing_eos": {"mode": "none"}, "clip": None, "demonstrations": demonstrations},
        updates=1,
        policy_optimizer={"learning_rate": 1e-12},
        value_optimizer={"learning_rate": 1e-12},
    )
    io = place("ppo")
    assert stage.check(io) == []
    stage.run(io)

    rows = [json.loads(line)["messages"] for line in (tmp_path / "dialogues.jsonl").read_text().splitlines()]
    turns = [[Message(turn["role"], turn["content"]) for turn in row] for row in rows]
    usual = torch.tensor(LearnedReward(str(judge)).score_conversations([tuple(row) for row in turns]))
    row = [row for row in read_metrics(io.output.metrics) if row["split"] == "train"][0]
    expected = (row["objective/score"] - usual.mean()) / usual.std(correction=0)
    assert row["objective/shaped_score"] == pytest.approx(float(expected), abs=1e-4)
    head, before = (
        load_file(folder / "model.safetensors")["score.weight"]
        for folder in (io.output.path / "value", judge)
    )
    torch.testing.assert_close(head, before / usual.std(correction=0), rtol=1e-4, atol=1e-6)
    shift = json.loads((io.output.path / "value" / "config.json").read_text())["value_shift"]
    assert shift == pytest.approx(float(-usual.mean() / usual.std(correction=0)), rel=1e-4)


def test_the_weights_that_a_judge_likes_best_are_kept(
    place: Place, tiny_model: Path, prompt_data: DataSpec
) -> None:
    """The policy is paid for long answers; the judge, who wants short ones, keeps it from going far."""
    data = replace(prompt_data, held_out=4)
    judge = {"_target_": "align.rewards.rules.LengthReward", "per_character": -0.1}
    flat = {"learning_rate": 2e-3, "final": 1.0}  # a shorter run then takes the same steps
    optimizers = {"policy_optimizer": flat, "value_optimizer": flat}
    stage = stage_of(data, tiny_model, updates=8, selection={"every": 2, "judge": judge}, **optimizers)
    io, shorter = place("ppo"), place("until_best", settings={"log_every_steps": 1})
    assert stage.check(io) == []
    stage.run(io)

    rows = [row for row in read_metrics(io.output.metrics) if row["split"] == "held_out"]
    assert [row["step"] for row in rows] == [2, 4, 6, 8]
    assert all(0 <= row["text/self_bleu"] <= 1 and row["text/distinct_1"] > 0 for row in rows)
    best = max(rows, key=lambda row: row["objective/score"])["step"]
    assert {row["selection/update"] for row in rows if row["step"] >= best} == {best}
    assert best < 8

    # T21: neither the judge nor what is measured or logged has changed a random number
    replace(stage, updates=best, selection=None, measured={"answer": PluginSpec(target=EXACT)}).run(shorter)
    kept, trained = (load_file(out.output.model / "model.safetensors") for out in (io, shorter))
    assert all(torch.equal(kept[name], trained[name]) for name in kept)


def test_a_judge_that_pays_is_refused(prompt_data: DataSpec, tiny_model: Path) -> None:
    with pytest.raises(ValidationError, match="choose another"):
        stage_of(
            replace(prompt_data, held_out=4), tiny_model, selection={"every": 2, "judge": LONG["source"]}
        )
    with pytest.raises(ValidationError, match="held_out"):
        judge = {"_target_": "align.rewards.rules.LengthReward", "per_character": -0.1}
        stage_of(prompt_data, tiny_model, selection={"every": 2, "judge": judge})


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_completions_learn_to_end_where_not_ending_costs(
    place: Place, tiny_model: Path, prompt_data: DataSpec, seed: int
) -> None:
    """T15: every answer scores the same, but one that is cut off is paid -1."""
    indifferent = {"source": {"_target_": "align.rewards.rules.LengthReward", "per_character": 0.0}}
    stage = stage_of(
        prompt_data,
        tiny_model,
        seed=seed,
        rewards={"indifferent": indifferent},
        shaping={"missing_eos": {"mode": "replace", "value": -1}},
        decoding={"temperature": 2.5, "max_new_tokens": 3, "seed": seed},
        kl={"coefficient": 0.0},
        updates=20,
    )
    io = place("ppo")
    stage.run(io)
    rows = [row for row in read_metrics(io.output.metrics) if row["split"] == "train"]
    assert rows[0]["rollout/ended_fraction"] < 0.3
    assert rows[-1]["rollout/ended_fraction"] > 0.9
