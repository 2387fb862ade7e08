"""Plan: a bound run + what is on disk -> which stages are there, which would run, and why. Torch-free."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from align.artifacts.checkpoint import checkpoints_in, is_sealed
from align.artifacts.fingerprint import IdentityError, fingerprint
from align.artifacts.lock import read_status
from align.artifacts.store import ArtifactDir, ArtifactError, Store, check_sizes
from align.config.problem import ConfigError, Problem
from align.pipeline.run import Run


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One stage of the plan: its place on disk and what the run would do about it.

    `parents` are the artifacts that it reads, `gates` those that must be good enough for it to start.
    """

    name: str
    stage: Any
    fingerprint: str
    artifact: ArtifactDir
    parents: Mapping[str, ArtifactDir]
    gates: Mapping[str, ArtifactDir]
    state: Literal["cached", "run"]
    why: str


def make_plan(run: Run, store: Store) -> tuple[Planned, ...]:
    """Every stage in the order it is built, found by its fingerprint.

    Raises:
        ConfigError: identity depends on a file or folder that is not there, or a cached artifact is damaged.
    """
    planned: dict[str, Planned] = {}
    problems: list[Problem] = []
    for name in run.order():
        gates = {gate.stage for gate in run.gates(name).values()}
        if any(earlier not in planned for earlier in (*run.parents(name), *gates)):
            continue  # its parent's problem is told already
        parents = {parent: planned[parent].artifact for parent in run.parents(name)}
        try:
            asked = {gate: planned[gate].artifact for gate in gates}
            planned[name] = _look_up(run, store, name, parents, asked)
        except IdentityError as problem:
            problems.append(_below(name, str(problem)))
        except ArtifactError as problem:
            problems.append(Problem(("stages", name), str(problem)))
    if problems:
        raise ConfigError(problems)
    return tuple(planned.values())


def describe(plan: Sequence[Planned]) -> list[str]:
    """The plan as lines: stage, artifact, what would happen, why."""
    names = max(len(item.name) for item in plan)
    folders = max(len(item.artifact.name) for item in plan)
    verbs = {"cached": "cached", "run": "would run"}
    return [
        f"{item.name:{names}}  {item.artifact.name:{folders}}  {verbs[item.state]:9}  {item.why}"
        for item in plan
    ]


def missing_upstream(plan: Sequence[Planned], run: Run, only: str) -> list[Problem]:
    """What the one stage that is to be built would read and cannot, with the two ways out."""
    stage = next(item for item in plan if item.name == only)
    references = {**run.references(only), **{f"require.{k}": g.stage for k, g in run.gates(only).items()}}
    found = []
    for parent in plan:
        if parent.name in {*stage.parents, *stage.gates} and parent.state != "cached":
            field = next(path for path, target in references.items() if target == parent.name)
            found.append(
                Problem(
                    (),
                    f"{only} needs {parent.artifact.name}, not built; run scripts/{parent.stage.kind}.py "
                    f"with the same options, or set stages.{only}.{field}",
                )
            )
    return found


def _look_up(
    run: Run,
    store: Store,
    name: str,
    parents: Mapping[str, ArtifactDir],
    gates: Mapping[str, ArtifactDir],
) -> Planned:
    stage = run.stages[name]
    own = fingerprint(stage, {key: parent.identity for key, parent in parents.items()}, store.digests)
    is_fresh = name in run.run.fresh
    artifact = store.fresh(stage.kind, own) if is_fresh else store.artifact(stage.kind, own)
    if artifact.is_complete:
        check_sizes(artifact)
    return Planned(
        name=name,
        stage=stage,
        fingerprint=own,
        artifact=artifact,
        parents=parents,
        gates=gates,
        state="cached" if artifact.is_complete else "run",
        why=_why(artifact, is_fresh),
    )


def _why(artifact: ArtifactDir, is_fresh: bool) -> str:
    if artifact.is_complete:
        return "nothing it depends on has changed"
    status = read_status(artifact.path) if artifact.path.is_dir() else None
    if status is None:
        return "asked for by run.fresh" if is_fresh else "not built yet"
    if status.is_live:
        return f"being built by process {status.pid} on {status.host}"
    ended = f"failed: {status.error}" if status.error else "was interrupted"
    return f"{ended}; goes on from a checkpoint" if has_checkpoint(artifact) else f"{ended}; starts over"


def has_checkpoint(artifact: ArtifactDir) -> bool:
    """Whether there is a checkpoint to resume from; whether it is sound is seen when it is."""
    return any(map(is_sealed, checkpoints_in(artifact.checkpoints)))


def _below(name: str, message: str) -> Problem:
    path, colon, rest = message.partition(": ")
    return Problem(("stages", name, *path.split(".")), rest) if colon else Problem(("stages", name), message)
