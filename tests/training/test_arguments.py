"""TRL's fields sorted into three lists, and the arguments a stage gets on a machine."""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import pytest
from trl import DPOConfig, RewardConfig, SFTConfig

from align.artifacts.store import ArtifactDir
from align.config.resources import Hardware, StageResources
from align.data.spec import DataSpec, SourceSpec
from align.models.spec import ModelSpec
from align.stages.sft import Sft
from align.stages.stage import RunSettings, StageIO
from align.training.arguments import IDENTITY, MACHINE, OWNED, build_arguments
from align.training.journal import DPO_NAMES, POLICY_NAMES
from align.training.spec import SelectionSpec

EVERY_FIELD = {
    field.name for config in (SFTConfig, RewardConfig, DPOConfig) for field in dataclasses.fields(config)
}


def sft(**changes: Any) -> Sft:
    given = {
        "model": ModelSpec(path="somewhere"),
        "data": DataSpec(sources={"x": SourceSpec(path="x.jsonl", format="messages")}, held_out=8),
        "precision": "fp32",
        "batch_size": 8,
        "seed": 7,
        "trainer": {"learning_rate": 1e-3, "max_length": 99},
        **changes,
    }
    return Sft(**given)


def place(folder: Path, devices: int = 1, **resources: Any) -> StageIO:
    settings = resources.pop("settings", {})
    hardware = Hardware(name="cpu", accelerator="cpu", devices=devices, memory_gib=8)
    return StageIO(
        name="sft",
        inputs={},
        output=ArtifactDir(folder),
        outputs=folder,
        resources=StageResources(**resources),
        settings=RunSettings(hardware=hardware, **settings),
    )


def test_every_field_is_in_exactly_one_list() -> None:
    """A field that an upgrade of TRL adds goes into OWNED, MACHINE or IDENTITY of training/arguments.py."""
    lists = {"owned": set(OWNED), "machine": set(MACHINE), "identity": set(IDENTITY)}
    homes = {field: [name for name, fields in lists.items() if field in fields] for field in EVERY_FIELD}

    assert {field: found for field, found in homes.items() if len(found) != 1} == {}
    assert set().union(*lists.values()) == EVERY_FIELD


def test_a_stage_and_a_machine_make_arguments(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # such as an option under its deprecated name
        arguments = build_arguments(
            SFTConfig, sft(), place(tmp_path, micro_batch=2, trainer={"per_device_eval_batch_size": 3})
        )

    assert (arguments.learning_rate, arguments.max_length, arguments.seed) == (1e-3, 99, 7)
    assert (arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps) == (2, 4)
    assert arguments.per_device_eval_batch_size == 3
    assert arguments.use_cpu and not arguments.bf16
    assert not arguments.gradient_checkpointing and not arguments.activation_checkpointing
    assert arguments.logging_nan_inf_filter is False
    assert arguments.save_strategy == "no" and arguments.eval_strategy == "no"
    assert Path(arguments.output_dir) == tmp_path / "checkpoints"


def test_logistics_reach_the_arguments(tmp_path: Path) -> None:
    io = place(
        tmp_path,
        activation_checkpointing=True,
        settings={"save_every_steps": 50, "log_every_steps": 4},
    )
    arguments = build_arguments(SFTConfig, sft(precision="bf16"), io)

    assert arguments.bf16 and arguments.activation_checkpointing and arguments.gradient_checkpointing
    assert (arguments.save_strategy, arguments.save_steps, arguments.save_total_limit) == ("steps", 50, None)
    assert arguments.logging_steps == 4


@pytest.mark.parametrize("best", [True, False])
def test_selection_speaks_of_metrics_by_our_names(tmp_path: Path, best: bool) -> None:
    selection = SelectionSpec(eval_every=5, metric="policy/loss", mode="min", best=best)
    arguments = build_arguments(SFTConfig, sft(selection=selection), place(tmp_path), POLICY_NAMES)

    assert (arguments.eval_strategy, arguments.eval_steps) == ("steps", 5)
    assert arguments.metric_for_best_model == "eval_loss" and arguments.greater_is_better is False
    assert arguments.load_best_model_at_end is best
    assert arguments.save_strategy == ("best" if best else "no")
    assert DPO_NAMES["rewards/accuracies"] == "dpo/accuracy"


def test_selection_needs_something_held_out() -> None:
    selection = SelectionSpec(eval_every=5, metric="policy/loss", mode="min")
    data = DataSpec(sources={"x": SourceSpec(path="x.jsonl", format="messages")})
    with pytest.raises(ValueError, match="held-out split"):
        sft(selection=selection, data=data)


def test_upstream_defaults_are_identity(tmp_path: Path) -> None:
    """A value TRL gives by default is part of a stage until the stage says it itself."""
    extra = sft().identity_extra()
    assert extra == sft(trainer={"learning_rate": 5e-4, "max_length": 1}).identity_extra()
    assert extra != sft(trainer={}).identity_extra()
