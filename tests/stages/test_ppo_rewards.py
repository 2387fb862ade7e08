"""What PPO is paid by: a reward model that reads with a tokenizer of its own, and a KL within bounds."""

import json
from pathlib import Path
from statistics import mean

import pytest
import torch

from align.artifacts.metrics import read_metrics
from align.data.records import Message, Prompt
from align.data.spec import DataSpec
from align.models.causal import build_policy
from align.models.scalar import load_reward_model
from align.models.spec import ArchitectureSpec, ModelSpec, TokenizerSpec
from align.models.tokenizer import build_tokenizer
from align.rewards.learned import LearnedReward
from tests.stages.conftest import Place
from tests.stages.test_ppo import prompt_data, stage_of

__all__ = ["prompt_data"]


@pytest.fixture
def foreign_judge(tmp_path: Path, texts: list[str]) -> Path:
    """A reward model whose tokenizer cuts words otherwise than the policy's."""
    torch.manual_seed(3)
    tokenizer = build_tokenizer(TokenizerSpec(vocab_size=330, chat_template="chatml"), texts)
    sizes = ArchitectureSpec(hidden_size=32, layers=1, heads=2, intermediate_size=48)
    folder = tmp_path / "foreign"
    build_policy(sizes, tokenizer).save_pretrained(folder)
    load_reward_model(str(folder), ModelSpec(path=str(folder)), tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_reward_model_reads_with_its_own_tokenizer_and_template(
    place: Place, tiny_model: Path, prompt_data: DataSpec, foreign_judge: Path
) -> None:
    """T20, trl#1674, trl#1979, trl#3595: it is asked about the text, as if there were no policy."""
    io = place("ppo")
    learned = {"_target_": "align.rewards.learned.LearnedReward", "model": str(foreign_judge)}
    stage = stage_of(prompt_data, tiny_model, rewards={"judge": {"source": learned}}, updates=1)
    assert stage.check(io) == []
    stage.run(io)

    samples = [json.loads(line) for line in io.output.samples.read_text().splitlines()]
    prompts = [
        Prompt(tuple(Message(turn["role"], turn["content"]) for turn in row["prompt"])) for row in samples
    ]
    expected = LearnedReward(model=str(foreign_judge)).score(prompts, [row["text"] for row in samples])
    assert [row["parts"]["judge"] for row in samples] == pytest.approx(expected, abs=1e-4)
    assert len({round(score, 4) for score in expected}) > 1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_score_rises_while_the_controller_holds_the_kl(
    place: Place, tiny_model: Path, prompt_data: DataSpec, seed: int
) -> None:
    """T14: an adaptive coefficient settles where the KL is what was asked for."""
    io = place("ppo")
    kl = {"coefficient": 0.2, "control": "adaptive", "target": 2, "horizon": 256}
    rates = {f"{name}_optimizer": {"learning_rate": 1e-3} for name in ("policy", "value")}
    stage_of(prompt_data, tiny_model, seed=seed, updates=40, batch_size=64, kl=kl, **rates).run(io)

    rows = [row for row in read_metrics(io.output.metrics) if row["split"] == "train"]
    settled = rows[-10:]
    risen = mean(row["objective/score"] for row in settled) - rows[0]["objective/score"]
    assert risen > rows[0]["objective/score_deviation"]
    assert mean(row["objective/kl"] for row in settled) == pytest.approx(2, rel=0.5)
    for before, after in zip(rows, rows[1:], strict=False):
        moved = after["objective/kl_coefficient"] - before["objective/kl_coefficient"]
        assert moved * (before["objective/kl"] - 2) >= 0, "towards the target"
    assert len({row["objective/kl_coefficient"] for row in rows}) > 30, "it is the controller that holds it"
