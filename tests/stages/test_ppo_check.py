"""What PPO refuses on the machine at hand, before anything is loaded."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from align.data.errors import DataError
from align.data.spec import DataSpec
from align.ppo.train import _selection
from align.runtime import group
from tests.stages.conftest import Place
from tests.stages.test_ppo import prompt_data, stage_of

__all__ = ["prompt_data"]

SHORT = {"_target_": "align.rewards.rules.LengthReward", "per_character": -0.1}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"batch_size": 6}, "minibatches: a device's share of 3 episodes does not divide by 2"),
        ({"ptx": {"batch_size": 1}}, "ptx.batch_size: 1 are too few for 2 devices"),
        (
            {"selection": {"every": 2, "judge": SHORT, "prompts": 1}},
            "selection.prompts: 1 are too few for 2 devices",
        ),
        ({"batch_size": 4}, None),
    ],
)
def test_batches_that_two_devices_cannot_share_are_refused(
    place: Place,
    tiny_model: Path,
    prompt_data: DataSpec,
    dialogue_data: DataSpec,
    changes: dict[str, Any],
    problem: str | None,
) -> None:
    io = place("ppo")
    hardware = replace(io.settings.hardware, devices=2)
    if "ptx" in changes:
        changes["ptx"] |= {"data": TypeAdapter(DataSpec).dump_python(dialogue_data, mode="json")}
    stage = stage_of(replace(prompt_data, held_out=4), tiny_model, **changes)
    found = stage.check(replace(io, settings=replace(io.settings, hardware=hardware)))
    assert found == [] if problem is None else [line.partition(";")[0] for line in found] == [problem]


def test_a_process_without_a_held_out_prompt_is_told_of_before_training(
    place: Place, tiny_model: Path, prompt_data: DataSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = {"every": 2, "judge": SHORT, "prompts": 256}
    stage = stage_of(replace(prompt_data, held_out=4), tiny_model, selection=selection)
    monkeypatch.setattr(group, "size", lambda: 9)
    held_out: Any = [None] * 4
    with pytest.raises(DataError, match="selection: 4 held-out prompts are too few for 9 processes"):
        _selection(stage, place("ppo"), None, held_out, None)  # type: ignore[arg-type]


def test_answers_that_leave_no_room_for_a_prompt_are_refused_where_they_are_set(
    place: Place, tiny_model: Path, prompt_data: DataSpec
) -> None:
    stage = stage_of(prompt_data, tiny_model, decoding={"temperature": 1, "max_new_tokens": 256})
    assert stage.check(place("ppo")) == [
        "decoding.max_new_tokens: 256 leave no room for a prompt in the 256 tokens that are read; lower it"
    ]


def test_prompts_must_fit_into_what_the_value_model_reads_as_well(
    place: Place, tiny_model: Path, prompt_data: DataSpec, tmp_path: Path
) -> None:
    """A shorter one would be asked about states that are another row's."""
    short = Path(shutil.copytree(tiny_model, tmp_path / "short"))
    file = short / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"max_position_embeddings": 20}))
    stage, io = stage_of(prompt_data, tiny_model, value={"path": str(short)}, updates=1), place("ppo")
    assert stage.check(io) == []
    (count,) = (finding.count for field, finding in io.findings if finding.reason == "too long")
    stage.run(io)
    told = json.loads(io.output.data.read_text())["prompts"]
    assert told["dropped"] == count > 0 and told["kept"] > 0
