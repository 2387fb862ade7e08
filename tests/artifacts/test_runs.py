"""Run folders have human names and links that survive a move; publishing copies all or nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from align.artifacts.runs import link, linked, publish, run_folder
from align.artifacts.store import ArtifactDir, ArtifactError, Store

Build = Callable[..., ArtifactDir]


def test_numbers_go_up_per_label(tmp_path: Path) -> None:
    assert [run_folder(tmp_path, None, "dpo").name for _ in range(2)] == ["dpo-0001", "dpo-0002"]
    (tmp_path / "runs" / "dpo-0041").mkdir()
    (tmp_path / "runs" / "dpo-loud-0077").mkdir()
    assert run_folder(tmp_path, None, "dpo").name == "dpo-0042"
    assert run_folder(tmp_path, None, "sft").name == "sft-0001"


def test_runs_that_start_together_get_different_numbers(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: run_folder(tmp_path, None, "x").name, range(40)))
    assert len(set(names)) == 40


def test_a_name_is_used_as_it_is_and_again(tmp_path: Path) -> None:
    assert (
        run_folder(tmp_path, "mine", "dpo")
        == run_folder(tmp_path, "mine", "dpo")
        == tmp_path / "runs" / "mine"
    )


@pytest.mark.parametrize("name", ["", "..", "a/b", "/a", ".hidden", "a b"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"run\.name: "):
        run_folder(tmp_path, name, "dpo")


def test_links_follow_when_everything_moves(tmp_path: Path, store: Store, build: Build) -> None:
    old, new = build(store.artifact("sft", "0" * 12)), build(store.artifact("sft", "1" * 12))
    folder = run_folder(store.root, "mine", "x")
    link(folder, "sft", old)
    link(folder, "sft", new)
    assert linked(store.root) == {new.name: ["mine"]}
    store.root.rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "runs" / "mine" / "sft" / "model" / "config.json").read_text() == "{}"


def test_publishing_copies_the_plain_folder_once(tmp_path: Path, store: Store, build: Build) -> None:
    artifact = build(store.artifact("sft", "0" * 12))
    target = tmp_path / "public" / "model"
    publish(artifact, target)
    publish(artifact, target)  # the same again is nothing to do
    assert {path.name for path in target.iterdir()} == {"model.safetensors", "config.json"}
    assert [path.name for path in target.parent.iterdir()] == ["model"]
    (target / "model.safetensors").write_text("x")
    assert (artifact.model / "model.safetensors").read_text() == "weights"


def test_a_card_takes_the_place_of_a_readme_and_may_be_another_the_next_time(
    tmp_path: Path, store: Store, build: Build
) -> None:
    artifact = build(store.artifact("sft", "0" * 12))
    for words in ("first", "second"):
        publish(artifact, tmp_path / "model", f"# {words}")
        assert (tmp_path / "model" / "README.md").read_text() == "# first"
    assert not (artifact.model / "README.md").exists()


def test_publishing_never_overwrites(tmp_path: Path, store: Store, build: Build) -> None:
    artifact = build(store.artifact("sft", "0" * 12))
    full, file, empty = tmp_path / "full", tmp_path / "file", tmp_path / "empty"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    file.write_text("mine")
    empty.mkdir()
    for target in (full, file):
        with pytest.raises(ArtifactError, match="holds something else"):
            publish(artifact, target)
    publish(artifact, empty)
    assert (full / "notes.txt").read_text() == file.read_text() == "mine"
    with pytest.raises(ArtifactError, match="has no model to publish"):
        publish(store.artifact("evaluate", "2" * 12), tmp_path / "none")
