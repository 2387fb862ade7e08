"""Verification: every byte of artifacts, checkpoints and runs, held against what was recorded.

python scripts/verify.py                          all that lies below outputs/
python scripts/verify.py gentle_dpo-0007          one run: its artifacts and all they were built on
python scripts/verify.py dpo-4bfd51e3d392         one artifact likewise
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from align.artifacts.checkpoint import checkpoints_in, damage, is_sealed
from align.artifacts.manifest import added_files, content_damage
from align.artifacts.store import NAME, ArtifactDir, ArtifactError, Store, read_lineage

State = Literal["sound", "unfinished", "damaged"]


@dataclass(frozen=True)
class Finding:
    """What was found out about one artifact or run; an unfinished one may be gone on with."""

    name: str
    state: State
    problems: tuple[str, ...] = ()


def verify(root: Path, names: Sequence[str] = ()) -> list[Finding]:
    """Look at runs and artifacts below an outputs folder, those named or all of them.

    Raises:
        ArtifactError: there is no run or artifact of that name.
    """
    store, runs = Store(root), root / "runs"
    found: dict[str, Finding] = {}
    chosen = names or [*sorted(path.name for path in runs.glob("*")), *(item.name for item in store.all())]
    for name in chosen:
        if (runs / name).is_dir():
            found[f"runs/{name}"] = _run(runs / name)
            _follow(store, _linked(runs / name), found)
        elif NAME.fullmatch(name) and store.named(name).path.is_dir():
            _follow(store, [name], found)
        else:
            raise ArtifactError(f"no run or artifact {name} below {root}; scripts/artifacts.py lists them")
    return list(found.values())


def _follow(store: Store, names: Iterable[str], found: dict[str, Finding]) -> None:
    """Look at artifacts and all that they were built on, each once."""
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        artifact = store.named(name)
        found[name] = _artifact(artifact)
        if artifact.is_complete and found[name].state == "sound":
            waiting += read_lineage(artifact)["parents"].values()


def _artifact(artifact: ArtifactDir) -> Finding:
    if not artifact.path.is_dir():
        return Finding(artifact.name, "damaged", ("it is gone, and others were built on it",))
    if not artifact.is_complete:
        problems = tuple(_checkpoint_problems(artifact))
        return Finding(artifact.name, "damaged" if problems else "unfinished", problems)
    try:
        lineage = read_lineage(artifact)
    except ArtifactError as problem:
        return Finding(artifact.name, "damaged", (str(problem),))
    manifest = lineage["manifest"]
    problems = (*content_damage(artifact.path, manifest), *added_files(artifact.path, manifest))
    if lineage.get("fingerprint", "") not in artifact.name:
        problems += (f"it was built as {lineage['kind']}-{lineage['fingerprint']}",)
    return Finding(artifact.name, "damaged" if problems else "sound", problems)


def _checkpoint_problems(artifact: ArtifactDir) -> Iterator[str]:
    for checkpoint in checkpoints_in(artifact.checkpoints):
        if is_sealed(checkpoint):
            yield from (f"{checkpoint.name}: {line}" for line in damage(checkpoint))


def _run(folder: Path) -> Finding:
    """Whether what a run recorded and what it links to are the same."""
    name = f"runs/{folder.name}"
    try:
        record = json.loads((folder / "run.json").read_bytes())
        stages = {stage: entry["artifact"] for stage, entry in record["stages"].items()}
    except FileNotFoundError:
        return Finding(name, "unfinished")
    except (ValueError, LookupError, TypeError, AttributeError):
        return Finding(name, "damaged", ("run.json cannot be read",))
    links = {path.name: path.readlink().name for path in folder.iterdir() if path.is_symlink()}
    problems = tuple(
        f"{stage} is {artifact} in run.json, and the link points to {links.get(stage, 'nothing')}"
        for stage, artifact in stages.items()
        if links.get(stage) != artifact
    )
    if problems:
        return Finding(name, "damaged", problems)
    return Finding(name, "unfinished" if record.get("error") else "sound")


def _linked(folder: Path) -> list[str]:
    return sorted(path.readlink().name for path in folder.iterdir() if path.is_symlink())


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify and print; the exit code: 0 when nothing is damaged, 1 when something is, 2 for wrong names."""
    parser = argparse.ArgumentParser(description="Check every byte of artifacts, checkpoints and runs.")
    parser.add_argument("names", nargs="*", help="runs or artifacts; all of them when none is named")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="what paths.outputs is set to")
    given = parser.parse_args(arguments)
    try:
        found = verify(given.outputs, given.names)
    except ArtifactError as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    if not found:
        sys.stderr.write(
            f"{given.outputs} holds neither runs nor artifacts; name the folder with --outputs\n"
        )
        return 2
    table = Table("run or artifact", "state", "what is wrong")
    for finding in found:
        table.add_row(finding.name, finding.state, "\n".join(finding.problems))
    console = Console(soft_wrap=True)
    console.print(table if console.is_terminal else _plain(found), end="")
    return int(any(finding.state == "damaged" for finding in found))


def _plain(found: Sequence[Finding]) -> str:
    """One line per problem, for those who read it by program."""
    lines = [(finding, problem) for finding in found for problem in finding.problems or ("",)]
    return "".join(
        f"{finding.state:10}  {finding.name}  {problem}".rstrip() + "\n" for finding, problem in lines
    )
