"""Hub datasets, through a dataset folder on disk: the same calls, no network."""

import json
from pathlib import Path

import pytest

from align.data.errors import DataError
from align.data.readers.hub import described, hub_dataset
from align.data.records import Conversation
from align.data.source import load_rows
from align.data.spec import DataSpec, HubSource, SourceSpec

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    rows = [{"instruction": f"Say {number}.", "output": str(number)} for number in range(3)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder


def test_rows_of_a_split(folder: Path, tmp_path: Path) -> None:
    source = SourceSpec(hub=HubSource(id=str(folder), revision=COMMIT), format="alpaca")
    rows = load_rows(DataSpec(sources={"x": source}), Conversation, tmp_path)
    assert [row.messages[1].content for row in rows.train] == ["0", "1", "2"]
    assert rows.report.sources["x"].origin == f"hf://{folder}@0123456789ab [train]"
    assert (rows.report.sources["x"].revision, rows.report.sources["x"].sha256) == (COMMIT, None)


def test_a_bad_row_is_named_by_its_number(folder: Path, tmp_path: Path) -> None:
    with (folder / "train.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('\n{"instruction": "Say nothing.", "output": ""}')
    source = SourceSpec(hub=HubSource(id=str(folder), revision=COMMIT), format="alpaca")
    with pytest.raises(DataError, match=r"\[train\]:row 4: output is blank"):
        load_rows(DataSpec(sources={"x": source}), Conversation, tmp_path)


def test_what_cannot_be_loaded_says_what_to_check(tmp_path: Path) -> None:
    source = HubSource(id=str(tmp_path / "nowhere"), revision=COMMIT, split="test")
    with pytest.raises(DataError, match="cannot be loaded .* Check the name, revision, config and split"):
        hub_dataset(source)


def test_description() -> None:
    source = HubSource(id="a/b", revision=COMMIT, config="ko", split="test")
    assert described(source) == "hf://a/b/ko@0123456789ab [test]"
