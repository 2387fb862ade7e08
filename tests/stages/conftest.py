"""What a stage is handed, without a pipeline around it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from align.artifacts.store import ArtifactDir
from align.config.resources import Hardware, StageResources
from align.data.records import Conversation, PreferencePair
from align.data.spec import DataSpec, ScreeningSpec, SourceSpec
from align.stages.stage import RunSettings, StageIO

Place = Callable[..., StageIO]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A function: stage name -> a StageIO that writes below tmp_path."""

    def at(name: str, inputs: Mapping[str, Path] | None = None, **resources: Any) -> StageIO:
        settings: dict[str, Any] = {"log_every_steps": 5, **resources.pop("settings", {})}
        return StageIO(
            name=name,
            inputs={key: ArtifactDir(path) for key, path in (inputs or {}).items()},
            output=ArtifactDir(tmp_path / name),
            outputs=tmp_path,
            resources=StageResources(**resources),
            settings=RunSettings(hardware=Hardware(name="cpu", accelerator="cpu", memory_gib=8), **settings),
        )

    return at


def written(path: Path, rows: Sequence[Mapping[str, Any]], row_format: str, held_out: int = 0) -> DataSpec:
    """Rows as a JSONL file and the specification that reads it."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataSpec(
        sources={path.stem: SourceSpec(path=str(path), format=row_format)},
        held_out=held_out,
        screening=ScreeningSpec(duplicates="keep"),
    )


@pytest.fixture
def dialogue_data(tmp_path: Path, conversations: list[Conversation]) -> DataSpec:
    rows = [{"messages": [turn.as_dict() for turn in row.messages]} for row in conversations]
    return written(tmp_path / "dialogues.jsonl", rows, "messages")


@pytest.fixture
def pair_data(tmp_path: Path, pairs: list[PreferencePair]) -> DataSpec:
    rows = [
        {
            "prompt": row.prompt[0].content,
            "chosen": row.chosen[0].content,
            "rejected": row.rejected[0].content,
        }
        for row in pairs
    ]
    return written(tmp_path / "pairs.jsonl", rows, "pairs")


@pytest.fixture
def text_data(tmp_path: Path, texts: list[str]) -> DataSpec:
    return written(tmp_path / "texts.jsonl", [{"text": text} for text in texts], "text")
