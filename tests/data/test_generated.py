"""Generated datasets: written once, whole or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from align.config.plugin import PluginSpec
from align.data.errors import DataError
from align.data.generated import generated_folder, materialise
from align.data.records import Text
from align.data.source import load_rows
from align.data.spec import DataSpec, SourceSpec


def write_numbers(folder: Path, count: int, log: str) -> None:
    """A user's generator; `log` records that it ran."""
    with Path(log).open("a", encoding="utf-8") as stream:
        stream.write("ran\n")
    if count < 0:
        raise ValueError("count must not be negative")
    lines = (json.dumps({"text": str(number)}) for number in range(count))
    (folder / "numbers.jsonl").write_text("\n".join(lines), encoding="utf-8")
    if count == 13:
        raise RuntimeError("power cut")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def source(log: Path, count: int = 3, path: str = "numbers.jsonl") -> SourceSpec:
    arguments: dict[str, Any] = {"count": count, "log": str(log)}
    return SourceSpec(path=path, generator=PluginSpec(f"{__name__}.write_numbers", arguments), format="text")


def test_a_generator_runs_once_for_all_its_readers(tmp_path: Path, log: Path) -> None:
    spec = DataSpec(sources={"x": source(log)})
    first, second = (load_rows(spec, Text, tmp_path / "outputs") for _ in range(2))
    assert first.train == second.train == [Text("0"), Text("1"), Text("2")]
    assert log.read_text(encoding="utf-8") == "ran\n"
    assert Path(first.report.sources["x"].origin).parent.parent == tmp_path / "outputs" / "datasets"


def test_other_arguments_are_another_dataset(tmp_path: Path, log: Path) -> None:
    assert materialise(source(log, 3), tmp_path).parent != materialise(source(log, 4), tmp_path).parent


def test_a_generator_that_fails_leaves_nothing(tmp_path: Path, log: Path) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        materialise(source(log, 13), tmp_path)
    assert list((tmp_path / "datasets").iterdir()) == []


def test_refused_arguments_are_the_users_error(tmp_path: Path, log: Path) -> None:
    with pytest.raises(DataError, match="write_numbers: count must not be negative"):
        materialise(source(log, -1), tmp_path)


def test_a_file_that_is_not_written(tmp_path: Path, log: Path) -> None:
    with pytest.raises(
        DataError, match=r"path 'letters.jsonl': .* writes no such file; it writes numbers.jsonl"
    ):
        materialise(source(log, path="letters.jsonl"), tmp_path)


def test_two_processes_at_once_agree_on_one_folder(tmp_path: Path, log: Path) -> None:
    other = generated_folder(source(log).generator, tmp_path)  # type: ignore[arg-type]
    (other / "marker").touch()
    unfinished = other.with_name("late")
    unfinished.mkdir()
    from align.data.generated import _publish

    _publish(unfinished, other)
    assert (other / "marker").exists()


def test_a_local_file_is_where_it_is(tmp_path: Path) -> None:
    assert (
        materialise(SourceSpec(path=str(tmp_path / "a.txt"), format="text"), tmp_path) == tmp_path / "a.txt"
    )
