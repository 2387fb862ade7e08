"""Stages and artifacts small enough to build in a moment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest

from align.artifacts.store import ArtifactDir, Store
from align.config.plugin import Plugin
from align.config.spec import LOGISTICS, ContentMark, Int, ModelRef, Positive, Spec


@dataclass(frozen=True, kw_only=True)
class Model(Spec):
    path: ModelRef
    revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class Source(Spec):
    path: Annotated[str, ContentMark(unless="generator")] | None = None
    generator: Plugin | None = None
    card: Annotated[str | None, LOGISTICS] = None
    weight: Positive = 1.0


@dataclass(frozen=True, kw_only=True)
class Toy(Spec):
    """A stage with every kind of field that identity treats in its own way."""

    kind: Literal["toy"] = "toy"
    version: ClassVar[int] = 1
    model: Model | None = None
    judges: Mapping[str, ModelRef] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    reward: Plugin | None = None
    prompt: str = ""
    rate: Positive = 1.0
    seed: Int = 0
    names: tuple[str, ...] = ()
    trainer: Mapping[str, Any] = field(default_factory=dict)
    workers: Annotated[Int, LOGISTICS] = 0


@pytest.fixture(scope="session")
def toy() -> type[Toy]:
    return Toy


@pytest.fixture(scope="session")
def source() -> type[Source]:
    return Source


@pytest.fixture(scope="session")
def model() -> type[Model]:
    return Model


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "outputs")


@pytest.fixture
def build(store: Store) -> Callable[..., ArtifactDir]:
    """Build and commit an artifact with a model of one file."""

    def call(
        artifact: ArtifactDir, weights: str = "weights", parents: Mapping[str, str] | None = None
    ) -> ArtifactDir:
        lock = store.acquire(artifact)
        assert lock is not None
        with lock:
            artifact.model.mkdir()
            (artifact.model / "model.safetensors").write_text(weights)
            (artifact.model / "config.json").write_text("{}")
            store.commit(lock, {"parents": dict(parents or {})})
        return artifact

    return call
