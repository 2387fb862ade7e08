"""What no run links to may go; what is linked, built on, or being built stays."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from align.artifacts.housekeeping import describe, entries, main, prune
from align.artifacts.runs import link, run_folder
from align.artifacts.store import ArtifactDir, ArtifactError, Store

Build = Callable[..., ArtifactDir]


@pytest.fixture
def outputs(store: Store, build: Build) -> Path:
    """A linked chain, an unlinked artifact, a failed one, an interrupted one, and one under way."""
    base = build(store.artifact("pretrain", "0" * 12))
    sft = build(store.artifact("sft", "1" * 12), parents={"base": base.name})
    build(store.artifact("sft", "2" * 12))
    failed = store.acquire(store.artifact("dpo", "3" * 12))
    assert failed is not None
    failed.release("failed", "RuntimeError: boom")
    store.artifact("dpo", "4" * 12).path.mkdir()
    running = store.artifact("reward", "5" * 12)
    assert store.acquire(running) is not None
    running.stage_json.write_text(
        json.dumps({"inputs": {"base": str(store.artifact("pretrain", "6" * 12).path)}})
    )
    build(store.artifact("pretrain", "6" * 12))
    folder = run_folder(store.root, "mine", "x")
    link(folder, "sft", sft)
    link(folder, "dpo", store.artifact("dpo", "3" * 12))
    return store.root


def reasons(outputs: Path) -> dict[str, str | None]:
    return {entry.artifact.name[:-11]: entry.reason for entry in entries(outputs)}


def test_every_artifact_has_a_state_and_a_reason(outputs: Path) -> None:
    assert reasons(outputs) == {
        "pretrain-0": None,
        "sft-1": None,
        "sft-2": "no run links to it",
        "dpo-3": "failed",
        "dpo-4": "interrupted",
        "reward-5": None,
        "pretrain-6": None,  # the one under way reads it
    }


def test_pruning_lists_first_and_removes_when_told(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = reasons(outputs)
    assert main(["prune", "--outputs", str(outputs)]) == 0
    assert "would remove (do it with --yes): 3 artifacts" in capsys.readouterr().out
    assert reasons(outputs) == before
    assert main(["prune", "--outputs", str(outputs), "--yes"]) == 0
    assert "removed: 3 artifacts" in capsys.readouterr().out
    assert set(reasons(outputs)) == {"pretrain-0", "sft-1", "reward-5", "pretrain-6"}
    assert {path.name for path in (outputs / "runs" / "mine").iterdir()} == {"sft"}
    assert not [path for path in (outputs / "artifacts").iterdir() if path.name.startswith(".")]


def test_checkpoints_left_in_a_finished_artifact_go(outputs: Path, store: Store) -> None:
    done, under_way = store.artifact("sft", "1" * 12), store.artifact("reward", "5" * 12)
    for artifact in (done, under_way):
        (artifact.checkpoints / "checkpoint-1").mkdir(parents=True)
    prune(outputs, [])
    assert not done.checkpoints.exists()
    assert under_way.checkpoints.exists()


def test_what_somebody_began_to_build_meanwhile_stays(outputs: Path, store: Store) -> None:
    doomed = [entry for entry in entries(outputs) if entry.reason]
    lock = store.acquire(store.artifact("dpo", "4" * 12))
    assert {entry.artifact.name for entry in prune(outputs, doomed)} == {"sft-" + "2" * 12, "dpo-" + "3" * 12}
    assert lock is not None
    lock.verify()


def test_show_tells_lineage_and_ancestors(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--outputs", str(outputs), "sft-" + "1" * 12]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["ancestors"] == ["pretrain-" + "0" * 12]
    assert about["runs"] == ["mine"]
    assert describe(outputs, "dpo-" + "3" * 12)["error"] == "RuntimeError: boom"
    with pytest.raises(ArtifactError, match="no artifact nothing"):
        describe(outputs, "nothing")


def test_list_shows_all(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--outputs", str(outputs)]) == 0
    assert capsys.readouterr().out.count("\n") > 7


def test_a_wrong_folder_or_name_is_exit_code_two(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--outputs", str(outputs / "nowhere")]) == 2
    assert main(["show", "--outputs", str(outputs), "nothing"]) == 2
    assert "no artifact nothing" in capsys.readouterr().err
