"""Lineage says where an artifact came from, leads back to its ancestors, and keeps no secrets."""

import json
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import align.artifacts.lineage as lineage_module
from align.artifacts.lineage import build_lineage, code_version, walk
from align.artifacts.metrics import MetricsLog
from align.artifacts.store import ArtifactDir, ArtifactError, Store

Build = Callable[..., ArtifactDir]


def test_a_lineage_holds_what_explains_a_result(store: Store, toy: Any, build: Build) -> None:
    parent, output = build(store.artifact("sft", "1" * 12)), store.artifact("toy", "2" * 12)
    output.path.mkdir(parents=True)
    output.data.write_text(json.dumps([{"card": "x", "rows": 3}]))
    MetricsLog(output.metrics).append(1, {"loss": 0.5})
    now = time.time()
    found = build_lineage(
        stage="mine",
        spec=toy(seed=3, trainer={"hub_token": "abc", "beta": 0.1}),
        fingerprint="2" * 12,
        parents={"base": parent},
        output=output,
        hardware={"name": "cpu"},
        world_size=2,
        started=now - 5,
        ended=now,
    )
    assert found["parents"] == {"base": parent.name}
    assert found["spec"]["trainer"] == {"hub_token": "***", "beta": 0.1}
    assert found["data"] == [{"card": "x", "rows": 3}]
    assert found["metrics"] == {"loss": 0.5}
    assert found["seconds"] == 5
    assert found["packages"]["pydantic"] == version("pydantic")
    assert found["hardware"]["name"] == "cpu"
    assert found["hardware"]["cores"] > 0
    json.dumps(found)


def test_walking_meets_every_ancestor_once(store: Store, build: Build) -> None:
    base = build(store.artifact("pretrain", "0" * 12))
    sft = build(store.artifact("sft", "1" * 12), parents={"base": base.name})
    reward = build(store.artifact("reward", "2" * 12), parents={"base": base.name})
    ppo = build(store.artifact("ppo", "3" * 12), parents={"policy": sft.name, "reward": reward.name})
    assert [artifact.name for artifact, _ in walk(ppo)] == [ppo.name, sft.name, reward.name, base.name]


def test_a_missing_ancestor_is_named(store: Store, build: Build) -> None:
    sft = build(store.artifact("sft", "1" * 12), parents={"base": "pretrain-000000000000"})
    with pytest.raises(ArtifactError, match="pretrain-000000000000 is not complete"):
        list(walk(sft))


def test_the_commit_and_whether_files_differ_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_module, "SOURCE", tmp_path)
    assert code_version() == {"commit": None, "dirty": None}
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("x")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    clean = code_version()
    assert clean["dirty"] is False
    assert len(clean["commit"]) == 40
    (tmp_path / "file").write_text("y")
    assert code_version() == {"commit": clean["commit"], "dirty": True}
