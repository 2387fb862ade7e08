"""Runs: a folder with a human name per invocation, with links to the artifacts it built or reused."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

from align.artifacts.durable import beside, sync_folder, sync_tree, write_text
from align.artifacts.manifest import build_manifest
from align.artifacts.store import ArtifactDir, ArtifactError

CARD = "README.md"
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def run_folder(root: Path, name: str | None, label: str) -> Path:
    """`runs/<name>`, which may exist, or a new `runs/<label>-0007` with the next free number.

    Args:
        root: the outputs folder.
        name: `run.name`; None for a numbered folder.
        label: what a numbered folder is called, such as the experiment.

    Raises:
        ValueError: the name is not a plain folder name.
    """
    runs = root / "runs"
    if name is not None:
        if not RUN_NAME.fullmatch(name):
            raise ValueError(f"run.name: {name!r} is no plain folder name (letters, digits, '.', '_', '-')")
        (runs / name).mkdir(parents=True, exist_ok=True)
        return runs / name
    runs.mkdir(parents=True, exist_ok=True)
    numbers = [
        int(found[1])
        for path in runs.iterdir()
        if (found := re.fullmatch(rf"{re.escape(label)}-(\d+)", path.name))
    ]
    number = max(numbers, default=0)
    while True:
        number += 1
        folder = runs / f"{label}-{number:04d}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:  # another process took the number
            continue


def link(folder: Path, stage: str, artifact: ArtifactDir) -> None:
    """Let `<run folder>/<stage>` point to an artifact, relative, so that outputs can be moved as a whole."""
    target = os.path.relpath(artifact.path, folder)
    draft = beside(folder / stage)
    draft.symlink_to(target, target_is_directory=True)
    draft.replace(folder / stage)


def linked(root: Path) -> dict[str, list[str]]:
    """Artifact name -> the runs that link to it."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "runs").glob("*/*")):
        if path.is_symlink():
            found.setdefault(Path(os.readlink(path)).name, []).append(path.parent.name)
    return found


def publish(artifact: ArtifactDir, target: Path, card: str | None = None) -> None:
    """Copy an artifact's model as a plain Hugging Face folder; the target appears whole or not at all.

    `card` becomes its README.md, in place of one that a library may have written.

    Raises:
        ArtifactError: the artifact has no model, or the target holds something else already.
    """
    if not artifact.model.is_dir():
        raise ArtifactError(f"run.publish: {artifact.name} has no model to publish")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        if target.is_dir() and _weights(target) == _weights(artifact.model):
            return
        raise ArtifactError(f"run.publish: {target} exists and holds something else; name another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = beside(target)
    shutil.copytree(artifact.model, draft)
    if card is not None:
        write_text(draft / CARD, card)
    sync_tree(draft)
    draft.replace(target)  # an empty folder may be replaced, a filled one not
    sync_folder(target.parent)


def _weights(folder: Path) -> dict[str, Any]:
    """All that makes a model; its card may tell the same model's story anew."""
    return {name: entry for name, entry in build_manifest(folder).items() if name != CARD}
