"""A small pipeline's types and a folder of YAML that composes to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from pydantic import Field

from align.config.passthrough import checked_fields
from align.config.plugin import Plugin
from align.config.resources import Hardware, Precision, StageResources
from align.config.spec import Fraction, Int, ModelRef, PositiveInt, Spec


@dataclass(frozen=True, kw_only=True)
class Source(Spec):
    path: str
    weight: PositiveInt = 1


@dataclass(frozen=True, kw_only=True)
class Data(Spec):
    sources: Mapping[str, Source]
    max_rows: PositiveInt | None = None
    held_out: Fraction | PositiveInt = 0.0


@dataclass(frozen=True, kw_only=True)
class Train(Spec):
    kind: Literal["train"] = "train"
    version: ClassVar[int] = 1
    model: ModelRef
    data: Data
    precision: Precision
    batch_size: PositiveInt
    trainer: Annotated[
        Mapping[str, Any],
        checked_fields(
            "trl.DPOConfig", owned={"seed": "set seed"}, machine={"dataloader_num_workers", "ddp_timeout"}
        ),
    ] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Suite(Spec):
    data: Data
    max_prompts: PositiveInt | None = None


@dataclass(frozen=True, kw_only=True)
class Judge(Spec):
    kind: Literal["judge"] = "judge"
    version: ClassVar[int] = 1
    checkpoints: Mapping[str, ModelRef]
    suites: Mapping[str, Suite] = field(default_factory=dict)
    reward: Plugin | None = None
    note: str = ""
    low: Int = 0
    high: Int = 1

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low: is above high\nhigh: is below low")


@dataclass(frozen=True, kw_only=True)
class Options(Spec):
    only: str | None = None


@dataclass(frozen=True, kw_only=True)
class Limits(Spec):
    steps: PositiveInt | None = None
    rows: PositiveInt | None = None


@dataclass(frozen=True, kw_only=True)
class Root(Spec):
    seed: Int
    run: Options
    limits: Limits
    hardware: Hardware
    corpus: Mapping[str, Data]
    resources: Mapping[str, StageResources]
    stages: Mapping[str, Annotated[Train | Judge, Field(discriminator="kind")]]
    # sections that `schema/open_stages` opens and this pipeline has no use for
    checkpoints: Mapping[str, Any]
    logging: Mapping[str, Any]
    model: Mapping[str, Any]
    parallel: Mapping[str, Any]
    launcher: Mapping[str, Any]
    tracking: Mapping[str, Any]


FILES = {
    "align.yaml": """
defaults: [schema/open_stages, _self_, pipeline: both, experiment: null]
seed: 0
run: {only: null}
limits: {steps: null, rows: null}
hardware: {name: here, accelerator: cuda, memory_gib: 1}
corpus:
  pairs: {sources: {x: {path: x.jsonl}}, max_rows: 500}
  other: {sources: {y: {path: y.jsonl}}}
resources: {default: {micro_batch: auto}}
""",
    "pipeline/both.yaml": """
# @package stages
defaults:
  - /stage@dpo: dpo
  - /stage@judge: judge
""",
    "stage/dpo.yaml": """
kind: train
model: base/model
data: {use: pairs}
precision: auto
batch_size: 8
trainer: {beta: 0.1}
""",
    "stage/judge.yaml": """
kind: judge
checkpoints: {after: "stage:dpo"}
""",
    "experiment/phantom.yaml": """
# @package _global_
stages: {dpp: {trainer: {beta: 0.3}}}
""",
}


@pytest.fixture(scope="session")
def root_type() -> type[Root]:
    return Root


@pytest.fixture(scope="session")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., DictConfig]:
    """Compose the small tree with overrides, as a script would."""
    folder: Path = tmp_path_factory.mktemp("conf")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    def call(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(folder), version_base="1.3"):
            return compose("align", list(overrides))

    return call
