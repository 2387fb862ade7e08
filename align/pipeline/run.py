"""Run: the root of the configuration as types, and the graph of its stages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from align.artifacts.fingerprint import reference_paths
from align.audit.spec import AuditSpec
from align.config.deepspeed_section import BATCH_KEYS, batch_problems
from align.config.resources import Hardware, Parallel, StageResources, split
from align.config.spec import Bool, Int, Positive, PositiveInt, Spec
from align.config.suggest import did_you_mean
from align.data.parts import part_problems
from align.data.spec import DataSpec
from align.models.spec import ModelSpec
from align.pipeline.launch_spec import AnyLauncher
from align.runtime.spec import BatchSpec, GateSpec
from align.stages import AnyStage
from align.training.arguments import machine_problems
from align.training.spec import TrainingSpec

FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Tracker = Literal["tensorboard", "trackio", "wandb", "swanlab"]  # each the name of its package


def _with_defaults(given: Any) -> Any:
    """Fill every stage's resources from `resources.default`, and their `trainer` from its."""
    if not isinstance(given, Mapping) or not isinstance(given.get("default"), Mapping):
        return given
    default = given["default"]

    def filled(entry: Mapping[str, Any]) -> dict[str, Any]:
        whole = {**default, **entry}
        if isinstance(default.get("trainer"), Mapping) and isinstance(whole["trainer"], Mapping):
            whole["trainer"] = {**default["trainer"], **whole["trainer"]}
        return whole

    return {name: filled(entry) if isinstance(entry, Mapping) else entry for name, entry in given.items()}


@dataclass(frozen=True, kw_only=True)
class RunOptions(Spec):
    """What this invocation does; never identity."""

    name: FolderName | None = None
    only: str | None = None
    dry_run: Bool = False
    check: Bool = False
    fresh: tuple[str, ...] = ()
    publish: Path | None = None
    preview_rows: PositiveInt = 3


@dataclass(frozen=True, kw_only=True)
class Paths(Spec):
    """Where things lie: all that is written, and local datasets."""

    outputs: Path
    data: Path


@dataclass(frozen=True, kw_only=True)
class Checkpoints(Spec):
    """How often a running stage saves itself, how many of these it keeps, and how long it may take to.

    `universal` lets a stage resume on another number of processes, or under another ZeRO stage.
    """

    every_steps: PositiveInt | None = None
    every_minutes: Positive | None = 20
    keep: PositiveInt = 2
    grace_seconds: Positive = 110
    universal: Bool = False


@dataclass(frozen=True, kw_only=True)
class Logging(Spec):
    """How often metrics are written."""

    every_steps: PositiveInt = 10


@dataclass(frozen=True, kw_only=True)
class Limits(Spec):
    """Upper bounds for trying things out; binding writes them into the stages, where they are identity."""

    steps: PositiveInt | None = None
    rows: PositiveInt | None = None


@dataclass(frozen=True, kw_only=True)
class Tracking(Spec):
    """Trackers that get the metrics beside metrics.jsonl."""

    trackers: tuple[Tracker, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Run(Spec):
    """Everything one command does, typed."""

    seed: Int
    run: RunOptions
    paths: Paths
    checkpoints: Checkpoints
    logging: Logging
    resources: Annotated[Mapping[str, StageResources], BeforeValidator(_with_defaults)]
    limits: Limits
    model: ModelSpec
    corpus: Mapping[str, DataSpec]
    hardware: Hardware
    parallel: Parallel
    launcher: AnyLauncher
    tracking: Tracking
    audit: AuditSpec = field(default_factory=AuditSpec)
    stages: Mapping[str, AnyStage]

    def __post_init__(self) -> None:
        found = [
            *_graph_problems(self.stages),
            *self._fresh_problems(),
            *part_problems(
                {
                    f"corpus.{entry}.sources.{name}": source
                    for entry, data in self.corpus.items()
                    for name, source in data.sources.items()
                }
            ),
            *self._machine_problems(),
            *self._launch_problems(),
            *self._section_problems(),
        ]
        if found:
            raise ValueError("\n".join(found))

    @property
    def devices(self) -> int:
        """Devices over all hosts."""
        return self.hardware.devices * self.hardware.hosts

    def order(self) -> tuple[str, ...]:
        """Stage names, every stage after those it refers to, otherwise as the pipeline lists them."""
        return tuple(TopologicalSorter(_graph(self.stages)).static_order())

    def parents(self, name: str) -> tuple[str, ...]:
        """The stages that `name` refers to."""
        return tuple(dict.fromkeys(self.references(name).values()))

    def gates(self, name: str) -> Mapping[str, GateSpec]:
        """What other stages must have measured before `name` starts."""
        stage = self.stages[name]
        return stage.require if isinstance(stage, BatchSpec) else {}

    def references(self, name: str) -> Mapping[str, str]:
        """Dotted path of each reference below a stage -> the stage it names."""
        return reference_paths(self.stages[name])

    def resources_of(self, name: str) -> StageResources:
        """The stage's own resources, or the default ones."""
        return self.resources.get(name) or self.resources.get("default") or StageResources()

    def parallel_of(self, name: str) -> Parallel:
        """How the stage's processes share its model."""
        return self.resources_of(name).parallel or self.parallel

    def _fresh_problems(self) -> list[str]:
        known = ", ".join(self.stages)
        return [
            f"run.fresh: no stage {name!r} in this pipeline ({known}){did_you_mean(name, self.stages)}"
            for name in self.run.fresh
            if name not in self.stages
        ]

    def _launch_problems(self) -> list[str]:
        hosts, kind = self.hardware.hosts, self.launcher.kind
        if hosts > 1 and kind in ("inline", "torchrun"):
            return [f"hardware.hosts: launcher={kind} runs on one host (got {hosts}); use hosts or slurm"]
        if self.launcher.node_rank_here >= hosts:
            return [f"launcher.node_rank: with {hosts} hosts they are 0 to {hosts - 1}"]
        if self.devices == 1:
            return []
        machine = f"hardware {self.hardware.name} has {self.devices} devices"
        if kind == "inline":
            return [f"launcher.kind: inline is one process, but {machine}; use launcher=torchrun"]
        return [problem for name in self.stages for problem in self._sharing_problems(name, machine)]

    def _machine_problems(self) -> list[str]:
        """What stands under `resources.<stage>.trainer` and is no setting of the machine."""
        return [
            f"resources.{name}.trainer.{line}"
            for name, stage in self.stages.items()
            if isinstance(stage, TrainingSpec)
            for line in machine_problems(name, self.resources_of(name).trainer, stage.trainer_class)
        ]

    def _section_problems(self) -> list[str]:
        """Batch sizes in DeepSpeed's section that are not those of the stages that use it."""
        found = []
        for name, stage in self.stages.items():
            section = self.parallel_of(name).deepspeed
            if section is None or not isinstance(stage, TrainingSpec):
                continue
            try:
                batch = split(
                    stage.batch_size, self.devices, self.resources_of(name).micro_batch, stage.row_tokens
                )
            except ValueError:
                continue  # which is told elsewhere
            sizes = (stage.batch_size, batch.micro_batch, batch.accumulation)
            place = f"resources.{name}.parallel" if self.resources_of(name).parallel else "parallel"
            numbers = dict(zip(BATCH_KEYS, sizes, strict=True))
            found += [f"{place}.deepspeed.{line}" for line in batch_problems(section, numbers, name)]
        return found

    def _sharing_problems(self, name: str, machine: str) -> list[str]:
        stage = self.stages[name]
        if not isinstance(stage, BatchSpec):
            return []
        if self.parallel_of(name).name == "single":
            return [
                f"parallel: single is one process, but {machine}; use parallel=ddp, zero1, zero2 or zero3"
            ]
        try:
            split(stage.batch_size, self.devices, self.resources_of(name).micro_batch)
        except ValueError as problem:
            return [f"stages.{name}.batch_size: {problem}"]
        return []


def _graph(stages: Mapping[str, Any]) -> dict[str, list[str]]:
    """Which stages have to come before each: those it reads, and those its gates ask."""
    return {name: list(_mentioned(stage).values()) for name, stage in stages.items()}


def _mentioned(stage: Any) -> dict[str, str]:
    """Dotted path below a stage -> the stage it names."""
    gates = stage.require if isinstance(stage, BatchSpec) else {}
    return {**reference_paths(stage), **{f"require.{name}.of": gate.stage for name, gate in gates.items()}}


def _graph_problems(stages: Mapping[str, Any]) -> list[str]:
    """References to stages that do not exist, and circles."""
    unknown = [
        f"stages.{name}.{path}: no stage {target!r} in this pipeline ({', '.join(stages)})"
        + did_you_mean(target, stages)
        for name, stage in stages.items()
        for path, target in _mentioned(stage).items()
        if target not in stages
    ]
    if unknown:
        return unknown
    try:
        TopologicalSorter(_graph(stages)).prepare()
    except CycleError as cycle:
        return [f"stages: a circle of references: {' -> '.join(reversed(cycle.args[1]))}"]
    return []
