"""Collect: run folders, artifacts and Hugging Face folders -> what a report tells of them. Torch-free.

Reads   runs/<name>/{run.json, config.yaml}, artifacts/<name>/{lineage, data, evaluation}.json, metrics.jsonl,
        reward_models.json, leaderboards.json, samples.jsonl, log/rank-0.txt
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from align.artifacts.hub_name import hub_name
from align.artifacts.lineage import walk
from align.artifacts.metrics import read_metrics
from align.artifacts.store import ArtifactDir, ArtifactError, read_lineage
from align.report.alarms import Alarm, alarms_in
from align.report.model_folder import ModelFacts, is_model_folder, read_hub_model, read_model

EARLIER = "earlier"  # status of an ancestor that the run did not have to look at


class ReportError(ValueError):
    """There is nothing to report on; the message says what was expected."""


@dataclass(frozen=True)
class StageFacts:
    """One stage as it lies on disk. `seconds` is what this run spent on it."""

    name: str
    kind: str
    folder: ArtifactDir
    status: str
    seconds: float
    lineage: dict[str, Any] | None

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """Everything it logged, oldest first."""
        return read_metrics(self.folder.metrics)

    @cached_property
    def samples(self) -> list[dict[str, Any]]:
        """What it said, or what checkpoints answered where it evaluates."""
        return _json_lines(self.folder.samples)

    @cached_property
    def evaluation(self) -> dict[str, Any] | None:
        """evaluation.json, where it measured something."""
        return _json(self.folder.evaluation)

    @cached_property
    def leaderboards(self) -> dict[str, Any] | None:
        """leaderboards.json: who beats whom according to which judge."""
        return _json(self.folder.leaderboards)

    @cached_property
    def reward_models(self) -> dict[str, Any] | None:
        """reward_models.json: what reward models are worth on pairs that people judged."""
        return _json(self.folder.reward_models)

    @cached_property
    def data(self) -> dict[str, Any] | None:
        """What it read, source by source."""
        return _json(self.folder.data)

    @cached_property
    def alarms(self) -> list[Alarm]:
        """What its log warns of."""
        return alarms_in(self.folder.log / "rank-0.txt", self.name)

    @property
    def spec(self) -> dict[str, Any]:
        """The resolved settings; empty where the stage did not finish."""
        return (self.lineage or {}).get("spec", {})

    @property
    def parents(self) -> dict[str, str]:
        """Stage name -> artifact it was built on."""
        return (self.lineage or {}).get("parents", {})

    @property
    def built_in(self) -> float:
        """Seconds that building it took, in whichever run."""
        return float((self.lineage or {}).get("seconds") or self.seconds)

    def series(self, name: str, split: str = "train") -> tuple[list[float], list[float]]:
        """(steps, values) of one metric; what was not finite is left out."""
        rows = [row for row in self.metrics if row["split"] == split and row.get(name) is not None]
        return [row["step"] for row in rows], [row[name] for row in rows]


@dataclass(frozen=True)
class Facts:
    """What a report is about. `gates` are those of run.json: stage -> gate -> what was asked and found."""

    title: str
    folder: Path
    stages: tuple[StageFacts, ...]
    models: tuple[ModelFacts, ...] = ()
    overrides: str = ""
    gates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    error: str | None = None
    notes: list[str] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[StageFacts]:
        """The stages of one kind, in order."""
        return [stage for stage in self.stages if stage.kind == kind]

    @property
    def evaluations(self) -> list[StageFacts]:
        """The stages that measured something."""
        return [stage for stage in self.stages if stage.evaluation is not None]

    @property
    def alarms(self) -> list[Alarm]:
        """The alarms of all stages, in the order of the stages."""
        return [alarm for stage in self.stages for alarm in stage.alarms]


def collect(paths: Sequence[Path]) -> Facts:
    """Read what lies at these places; several become one report.

    Args:
        paths: run folders, artifact folders (or links to them), model folders in Hugging Face layout, or
            `<Hub id>[@<revision>]`.

    Raises:
        ReportError: a place is none of these, or an artifact is damaged.
    """
    parts = [_collect_one(path) for path in paths]
    stages: dict[str, StageFacts] = {}
    for part in parts:
        for stage in part.stages:
            stages.setdefault(str(stage.folder.path.resolve()), stage)
    return Facts(
        title=", ".join(part.title for part in parts),
        folder=parts[0].folder,
        stages=tuple(stages.values()),
        models=tuple(model for part in parts for model in part.models),
        overrides=parts[0].overrides if len(parts) == 1 else "",
        gates=parts[0].gates if len(parts) == 1 else {},
        error=next((part.error for part in parts if part.error), None),
        notes=[note for part in parts for note in part.notes],
    )


def _collect_one(path: Path) -> Facts:
    if (path / "run.json").is_file():
        return _run(path)
    for folder in (path, path.parent if path.name == "model" else path):
        if (folder / "lineage.json").is_file():
            stages = tuple(_with_ancestors([_artifact_stage(ArtifactDir(folder.resolve()))], []))
            return Facts(title=folder.resolve().name, folder=folder, stages=stages)
    if is_model_folder(path):
        model = read_model(path)
        return Facts(title=model.name, folder=path, stages=(), models=(model,))
    try:
        if found := hub_name(str(path)):
            model = read_hub_model(*found)
            return Facts(title=model.name, folder=path, stages=(), models=(model,))
    except ValueError as problem:
        raise ReportError(str(problem)) from None
    raise ReportError(
        f"{path}: no run folder (run.json), no finished artifact (lineage.json) and no model folder "
        "(config.json); name one, such as outputs/runs/quickstart-0001"
    )


def _run(folder: Path) -> Facts:
    record = _json(folder / "run.json") or {}
    notes: list[str] = []
    stages = [
        _stage(ArtifactDir((folder / name).resolve()), name, entry["status"], entry["seconds"], notes)
        for name, entry in record.get("stages", {}).items()
        if (folder / name).exists()
    ]
    config = folder / "config.yaml"
    first = config.read_text(encoding="utf-8").partition("\n")[0] if config.exists() else ""
    return Facts(
        title=folder.resolve().name,
        folder=folder,
        stages=tuple(_with_ancestors(stages, notes)),
        overrides=first.removeprefix("# "),
        gates=record.get("gates", {}),
        error=record.get("error"),
        notes=notes,
    )


def _stage(folder: ArtifactDir, name: str, status: str, seconds: float, notes: list[str]) -> StageFacts:
    lineage = None
    try:
        lineage = read_lineage(folder)
    except ArtifactError as problem:
        if status not in ("failed", "stopped"):
            notes.append(str(problem))
    kind = lineage["kind"] if lineage else folder.name.partition("-")[0]
    return StageFacts(name, kind, folder, status, seconds, lineage)


def _artifact_stage(folder: ArtifactDir) -> StageFacts:
    try:
        lineage = read_lineage(folder)
    except ArtifactError as problem:
        raise ReportError(str(problem)) from None
    return StageFacts(lineage["stage"], lineage["kind"], folder, EARLIER, 0.0, lineage)


def _with_ancestors(stages: list[StageFacts], notes: list[str]) -> Iterator[StageFacts]:
    """The stages and whatever else they were built on, ancestors first."""
    known = {stage.folder.path.resolve() for stage in stages}
    older: dict[Path, StageFacts] = {}
    for stage in stages:
        if stage.lineage is None:
            continue
        try:
            for folder, lineage in walk(stage.folder):
                if (place := folder.path.resolve()) not in known:
                    older[place] = StageFacts(
                        lineage["stage"], lineage["kind"], folder, EARLIER, 0.0, lineage
                    )
        except ArtifactError as problem:  # pruned since, or damaged: the report says so and goes on
            notes.append(str(problem))
    yield from sorted(older.values(), key=lambda stage: str((stage.lineage or {}).get("ended")))
    yield from stages


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _json_lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines; one that a crash tore off is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows
