"""Housekeeping: what lies below an outputs folder, where it came from, and what may go.

python scripts/artifacts.py list
python scripts/artifacts.py show dpo-4bfd51e3d392
python scripts/artifacts.py prune            lists what would go; `prune --yes` removes it
"""

import argparse
import json
import shutil
import sys
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from align.artifacts.lineage import walk
from align.artifacts.lock import HeldError, acquire, read_status
from align.artifacts.runs import linked
from align.artifacts.store import NAME, ArtifactDir, ArtifactError, Store, read_lineage

PRUNED = ".pruned-"

State = Literal["complete", "running", "failed", "interrupted"]


@dataclass(frozen=True)
class Entry:
    """One artifact as the list shows it; `reason` says why it may go, None that it must stay."""

    artifact: ArtifactDir
    state: State
    error: str | None
    size_gib: float
    runs: tuple[str, ...]
    reason: str | None


def entries(root: Path) -> list[Entry]:
    """Every artifact below an outputs folder, and whether anything still needs it."""
    store, runs = Store(root), linked(root)
    states = {artifact.name: _state(artifact) for artifact in store.all()}
    needed = {name for name, (state, _) in states.items() if state == "running"}
    for artifact in store.all():
        if artifact.name in needed:
            needed |= _with_ancestors(store, _named_in(artifact.stage_json))
        elif artifact.is_complete and artifact.name in runs:
            needed |= _with_ancestors(store, [artifact.name])
    found = []
    for artifact in store.all():
        state, error = states[artifact.name]
        reason = None if artifact.name in needed else "no run links to it" if state == "complete" else state
        size = sum(path.stat().st_size for path in artifact.path.rglob("*") if path.is_file()) / 2**30
        found.append(Entry(artifact, state, error, size, tuple(runs.get(artifact.name, ())), reason))
    return found


def describe(root: Path, name: str) -> dict[str, Any]:
    """Everything known about one artifact: lineage, ancestors, the runs that link to it.

    Raises:
        ArtifactError: there is none of this name.
    """
    known = {entry.artifact.name: entry for entry in entries(root)}
    if name not in known:
        raise ArtifactError(f"no artifact {name} below {root}; `list` shows those there are")
    entry = known[name]
    about: dict[str, Any] = {"state": entry.state, "error": entry.error, "runs": list(entry.runs)}
    if entry.state == "complete":
        about["lineage"] = read_lineage(entry.artifact)
        about["ancestors"] = [artifact.name for artifact, _ in walk(entry.artifact)][1:]
    return about


def prune(root: Path, doomed: Iterable[Entry]) -> list[Entry]:
    """Remove artifacts, and links to them; one that somebody works on by now stays.

    Returns:
        The entries that were removed.
    """
    removed = []
    for entry in doomed:
        path = entry.artifact.path
        try:
            acquire(path)
        except HeldError:
            continue
        path.rename(path.with_name(f"{PRUNED}{uuid.uuid4().hex[:12]}"))  # gone at once, whatever happens next
        for run in entry.runs:
            for link in (root / "runs" / run).iterdir():
                if link.is_symlink() and link.readlink().name == path.name:
                    link.unlink()
        removed.append(entry)
    for leftover in (root / "artifacts").glob(f"{PRUNED}*"):
        shutil.rmtree(leftover)
    for artifact in Store(root).all():
        if artifact.is_complete:  # a crash just after the commit leaves what nothing resumes from
            shutil.rmtree(artifact.checkpoints, ignore_errors=True)
    return removed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `list`, `show` or `prune` as a command; the result is its exit code."""
    given = _parser().parse_args(arguments)
    if not (given.outputs / "artifacts").is_dir():
        sys.stderr.write(f"{given.outputs} holds no artifacts; name the folder with --outputs\n")
        return 2
    if given.action == "show":
        try:
            about = describe(given.outputs, given.name)
        except ArtifactError as problem:
            sys.stderr.write(f"{problem}\n")
            return 2
        sys.stdout.write(json.dumps(about, indent=2, ensure_ascii=False) + "\n")
        return 0
    found = entries(given.outputs)
    if given.action == "list":
        Console().print(_table(found, "needed by"))
        return 0
    doomed = [entry for entry in found if entry.reason is not None]
    Console().print(_table(doomed, "why it goes"))
    if given.yes:
        doomed = prune(given.outputs, doomed)
    size = sum(entry.size_gib for entry in doomed)
    verb = "removed" if given.yes else "would remove (do it with --yes)"
    sys.stdout.write(f"{verb}: {len(doomed)} artifacts, {size:.2f} GiB\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--outputs", type=Path, default=Path("outputs"), help="what paths.outputs is set to")
    parser = argparse.ArgumentParser(description="List, explain and remove artifacts.")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser(
        "list", parents=[shared], help="every artifact, its state, size, and the runs that link to it"
    )
    show = actions.add_parser("show", parents=[shared], help="one artifact's lineage, as JSON")
    show.add_argument("name", help="the folder's name, such as dpo-4bfd51e3d392")
    removal = actions.add_parser("prune", parents=[shared], help="what no run links to, and what failed")
    removal.add_argument("--yes", action="store_true", help="remove them instead of listing them")
    return parser


def _state(artifact: ArtifactDir) -> tuple[State, str | None]:
    if artifact.is_complete:
        return "complete", None
    status = read_status(artifact.path)
    if status is not None and status.is_live:
        return "running", None
    if status is not None and status.state == "failed":
        return "failed", status.error
    return "interrupted", None


def _named_in(stage_json: Path) -> list[str]:
    """The artifacts that a stage under way reads: they stand in its description by name."""
    return [found[0] for found in NAME.finditer(stage_json.read_text("utf-8"))] if stage_json.exists() else []


def _with_ancestors(store: Store, names: Iterable[str]) -> set[str]:
    """The named artifacts and all that they were built on; a damaged one leads no further."""
    found = set(names)
    for name in names:
        try:
            found |= {artifact.name for artifact, _ in walk(store.named(name))}
        except ArtifactError:
            continue
    return found


def _table(found: Sequence[Entry], last: str) -> Table:
    table = Table("artifact", "state", "GiB", last)
    for entry in found:
        note = entry.reason if last.startswith("why") else ", ".join(entry.runs) or "-"
        table.add_row(entry.artifact.name, entry.state, f"{entry.size_gib:.2f}", note)
    return table
