"""What fitting promises: it resumes exactly, keeps the best weights, stops early, and stops on a bad loss."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerBase, TrainerCallback, TrainerControl, TrainerState
from trl import SFTConfig

from align.artifacts.checkpoint import MANIFEST, checkpoints_in, is_sealed, newest_sound
from align.artifacts.metrics import read_metrics
from align.artifacts.store import ArtifactDir
from align.data.records import Conversation
from align.models.causal import load_policy
from align.models.saving import NonFiniteWeightsError
from align.models.spec import ModelSpec
from align.runtime.saving import Stopped
from align.training.fit import fit
from align.training.journal import POLICY_NAMES
from align.training.spec import SelectionSpec
from align.training.tokenise import tokenise_conversations
from align.training.trainers import NonFiniteLossError, PlannedSFTTrainer
from tests.training.conftest import Settings


class Interrupted(TrainerCallback):
    """Pulls the plug after a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step == self._step:
            raise KeyboardInterrupt


class Asked(TrainerCallback):
    """Asks for an end during a step."""

    def __init__(self, step: int, output: ArtifactDir) -> None:
        self._step = step
        self._output = output

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step + 1 == self._step:
            self._output.stop_request.touch()


class SealedWhileSaving(TrainerCallback):
    """Counts the sealed checkpoints whenever another one was written and has no seal yet."""

    def __init__(self, output: ArtifactDir) -> None:
        self._output = output
        self.seen: list[int] = []

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.seen.append(sum(map(is_sealed, checkpoints_in(self._output.checkpoints))))


@pytest.fixture
def trainer(
    tiny_model: Path,
    tokenizer: PreTrainedTokenizerBase,
    conversations: list[Conversation],
    settings: Settings,
) -> Any:
    """A function: output folder and overrides -> an SFT trainer on twelve rows, four held out."""

    def build(output: ArtifactDir, **overrides: Any) -> PlannedSFTTrainer:
        spec = ModelSpec(path=str(tiny_model))
        parts = [
            tokenise_conversations(part, tokenizer, None) for part in (conversations[:12], conversations[12:])
        ]
        return PlannedSFTTrainer(
            model=load_policy(spec.path, spec, tokenizer),
            args=SFTConfig(**settings(output_dir=str(output.checkpoints), **overrides)),
            train_dataset=parts[0].dataset,
            eval_dataset=parts[1].dataset,
            processing_class=tokenizer,
        )

    return build


def weights(output: ArtifactDir) -> dict[str, torch.Tensor]:
    return load_file(output.model / "model.safetensors")


def train_losses(output: ArtifactDir) -> dict[int, float]:
    rows = read_metrics(output.metrics)
    return {
        row["step"]: row["policy/loss"] for row in rows if row["split"] == "train" and "policy/loss" in row
    }


def test_a_resumed_run_is_the_uninterrupted_run(trainer: Any, tmp_path: Path) -> None:
    whole, broken = ArtifactDir(tmp_path / "whole"), ArtifactDir(tmp_path / "broken")
    saving = {"num_train_epochs": 4, "save_strategy": "steps", "save_steps": 2}
    fit(trainer(whole, **saving), whole, names=POLICY_NAMES)

    interrupted = trainer(broken, **saving)
    interrupted.add_callback(Interrupted(step=9))
    with pytest.raises(KeyboardInterrupt):
        fit(interrupted, broken, names=POLICY_NAMES)
    (broken.checkpoints / "checkpoint-8" / MANIFEST).unlink()  # torn: the one before it counts
    assert newest_sound(broken.checkpoints) == broken.checkpoints / "checkpoint-6"
    fit(trainer(broken, **saving), broken, names=POLICY_NAMES)

    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(broken)[name]), name
    assert train_losses(broken) == train_losses(whole)
    assert len(train_losses(whole)) == 12


def test_a_changed_checkpoint_is_not_resumed(trainer: Any, tmp_path: Path) -> None:
    output = ArtifactDir(tmp_path / "out")
    fit(trainer(output, max_steps=4, save_strategy="steps", save_steps=2), output, names=POLICY_NAMES)
    newest = output.checkpoints / "checkpoint-4"
    assert newest_sound(output.checkpoints) == newest

    stored = bytearray((newest / "model.safetensors").read_bytes())
    stored[-1] ^= 1
    (newest / "model.safetensors").write_bytes(stored)

    assert newest_sound(output.checkpoints) == output.checkpoints / "checkpoint-2"
    assert newest_sound(tmp_path / "nowhere") is None


def test_metrics_have_our_names_and_both_splits(trainer: Any, tmp_path: Path) -> None:
    output = ArtifactDir(tmp_path / "out")
    fit(trainer(output, max_steps=3), output, names=POLICY_NAMES)
    rows = read_metrics(output.metrics)

    held_out = [row for row in rows if row["split"] == "held_out"]
    assert [row["step"] for row in held_out] == [0, 3]
    first = next(row for row in rows if row["split"] == "train")
    assert {"policy/loss", "policy/token_accuracy", "trainer/learning_rate"} <= set(first)
    assert held_out[1]["policy/loss"] < held_out[0]["policy/loss"]


def test_the_best_weights_are_kept_and_patience_ends_the_run(trainer: Any, tmp_path: Path) -> None:
    """A learning rate far too high after a good start: the first evaluation stays the best."""
    output = ArtifactDir(tmp_path / "out")
    selection = SelectionSpec(eval_every=2, metric="policy/loss", mode="min", patience=2)
    built = trainer(
        output,
        max_steps=40,
        learning_rate=0.3,
        lr_scheduler_type="linear",
        warmup_steps=20,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="best",
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
    )
    fit(built, output, names=POLICY_NAMES, selection=selection)

    held_out = [row for row in read_metrics(output.metrics) if row["split"] == "held_out"]
    during = {row["step"]: row["policy/loss"] for row in held_out[1:-1]}
    assert max(during) < 40
    assert held_out[-1]["policy/loss"] == pytest.approx(min(during.values()), abs=1e-6)
    assert held_out[-1]["policy/loss"] < list(during.values())[-1]


def test_a_loss_that_is_not_finite_stops_the_run(trainer: Any, tmp_path: Path) -> None:
    output = ArtifactDir(tmp_path / "out")
    built = trainer(output, max_steps=3)
    with torch.no_grad():
        built.model.model.norm.weight[0] = float("nan")

    with pytest.raises(NonFiniteLossError, match="nan at step 1"):
        fit(built, output, names=POLICY_NAMES)
    assert not output.model.exists()
    assert 0.0 not in train_losses(output).values()


def test_weights_that_are_not_finite_are_not_saved(trainer: Any, tmp_path: Path) -> None:
    """The very last update can ruin the weights without any loss to show it."""
    output = ArtifactDir(tmp_path / "out")
    with pytest.raises(NonFiniteWeightsError):
        fit(trainer(output, max_steps=1, learning_rate=1e39), output, names=POLICY_NAMES)
    assert not output.model.exists()


def test_small_steps_move_the_weights_in_bf16(trainer: Any, tmp_path: Path) -> None:
    """Compute in bf16, weights in fp32: at learning rate 1e-6 weights in bf16 would stand still."""
    output = ArtifactDir(tmp_path / "out")
    built = trainer(output, max_steps=50, learning_rate=1e-6, lr_scheduler_type="constant", bf16=True)
    before = {name: weight.detach().clone() for name, weight in built.model.named_parameters()}
    built.train()

    moved = sum((weight != before[name]).sum().item() for name, weight in built.model.named_parameters())
    assert all(weight.dtype == torch.float32 for weight in built.model.parameters())
    assert moved / sum(weight.numel() for weight in before.values()) > 0.9


def test_weights_that_are_not_finite_make_no_checkpoint(trainer: Any, tmp_path: Path) -> None:
    output = ArtifactDir(tmp_path / "out")
    spoilt = trainer(output, max_steps=4, save_strategy="steps", save_steps=1)

    class Spoils(TrainerCallback):
        def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
            if state.global_step == 3:
                next(spoilt.model.parameters()).data.view(-1)[0] = float("inf")

    spoilt.add_callback(Spoils())
    with pytest.raises(NonFiniteWeightsError):
        fit(spoilt, output, names=POLICY_NAMES)
    assert newest_sound(output.checkpoints) == output.checkpoints / "checkpoint-2"


def test_the_manifest_lists_every_file(trainer: Any, tmp_path: Path) -> None:
    output = ArtifactDir(tmp_path / "out")
    fit(trainer(output, max_steps=2, save_strategy="steps", save_steps=2), output, names=POLICY_NAMES)
    folder = output.checkpoints / "checkpoint-2"
    listed = set(json.loads((folder / MANIFEST).read_text())["files"])

    assert {
        "model.safetensors",
        "optimizer.pt",
        "rng_state.pth",
        "scheduler.pt",
        "trainer_state.json",
    } <= listed
    assert listed == {path.name for path in folder.iterdir()} - {MANIFEST}


def test_a_checkpoint_is_due_by_the_clock(trainer: Any, tmp_path: Path) -> None:
    output = ArtifactDir(tmp_path / "out")
    fit(trainer(output, max_steps=3), output, names=POLICY_NAMES, save_every_minutes=1e-9, keep_checkpoints=3)

    saved = sorted(folder.name for folder in output.checkpoints.iterdir())
    assert saved == ["checkpoint-1", "checkpoint-2", "checkpoint-3"]
    assert newest_sound(output.checkpoints) == output.checkpoints / "checkpoint-3"


@pytest.mark.parametrize("keep", [1, 2])
def test_as_many_checkpoints_as_asked_for_are_sealed_while_the_next_is_written(
    trainer: Any, tmp_path: Path, keep: int
) -> None:
    output = ArtifactDir(tmp_path / "out")
    built = trainer(output, max_steps=4, save_strategy="steps", save_steps=1)
    watch = SealedWhileSaving(output)
    built.add_callback(watch)
    fit(built, output, names=POLICY_NAMES, keep_checkpoints=keep)
    assert watch.seen == [min(keep, written) for written in range(4)]
    assert [path.name for path in checkpoints_in(output.checkpoints)] == [
        f"checkpoint-{step}" for step in range(5 - keep, 5)
    ]


def test_who_is_asked_to_stop_saves_and_goes_on_with_the_same_bits(trainer: Any, tmp_path: Path) -> None:
    whole, broken = ArtifactDir(tmp_path / "whole"), ArtifactDir(tmp_path / "broken")
    fit(trainer(whole, max_steps=5), whole, names=POLICY_NAMES)

    for step in (3, 5):  # amid training, and after its last step
        broken.path.mkdir(exist_ok=True)
        asked = trainer(broken, max_steps=5)
        asked.add_callback(Asked(step, broken))
        with pytest.raises(Stopped, match=f"saved at step {step}"):
            fit(asked, broken, names=POLICY_NAMES)
        assert newest_sound(broken.checkpoints) == broken.checkpoints / f"checkpoint-{step}"
        assert not broken.model.exists()
        broken.stop_request.unlink()
    fit(trainer(broken, max_steps=5), broken, names=POLICY_NAMES)

    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(broken)[name]), name
    assert train_losses(broken) == train_losses(whole)
