"""Checkpoint: a folder to resume from that says itself whether it is whole, and whose it is.

Writes  manifest.json, last of its files
"""

import json
import shutil
from pathlib import Path

from align.artifacts.durable import write_json
from align.artifacts.manifest import added_files, build_manifest, content_damage

MANIFEST = "manifest.json"
LOGS = ("metrics.jsonl", "samples.jsonl")  # what a stage appends to beside its checkpoints
ASIDE = "damaged-"  # what a checkpoint's name begins with once it is known to be no good


def checkpoint_folder(checkpoints: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return checkpoints / f"checkpoint-{step}"


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint was written after."""
    return int(checkpoint.name.rpartition("-")[2])


def checkpoints_in(folder: Path) -> list[Path]:
    """All checkpoints, whole or not, oldest first."""
    return sorted(folder.glob("checkpoint-*"), key=step_of)


def seal(checkpoint: Path) -> None:
    """Write the manifest: size and sha256 of every file, whose checkpoint it is, how long its logs are."""
    (checkpoint / MANIFEST).unlink(missing_ok=True)
    files = build_manifest(checkpoint)  # what a power cut takes of them, the digests show
    artifact = _artifact_of(checkpoint)
    logs = {name: (artifact / name).stat().st_size for name in LOGS if (artifact / name).exists()}
    write_json(checkpoint / MANIFEST, {"artifact": artifact.name, "files": files, "logs": logs})


def is_sealed(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end; what became of it since, `damage` says."""
    return (checkpoint / MANIFEST).exists()


def damage(checkpoint: Path) -> list[str]:
    """What is wrong with a sealed checkpoint; reads every byte of it."""
    try:
        content = json.loads((checkpoint / MANIFEST).read_bytes())
        files, owner = content["files"], content["artifact"]
        found = content_damage(checkpoint, files) + added_files(checkpoint, {MANIFEST, *files})
    except (ValueError, LookupError, TypeError, AttributeError):
        return [f"{MANIFEST} cannot be read"]
    return found if owner == _artifact_of(checkpoint).name else [*found, f"it was written by {owner}"]


def newest_sound(folder: Path) -> Path | None:
    """The newest checkpoint whose every byte is as it was written."""
    sealed = (found for found in reversed(checkpoints_in(folder)) if is_sealed(found))
    return next((found for found in sealed if not damage(found)), None)


def set_aside(folder: Path) -> list[str]:
    """Clear the way to the newest sound checkpoint: rename damaged ones, remove those cut off while written.

    Returns:
        What was found damaged, for the user.
    """
    told = []
    for checkpoint in reversed(checkpoints_in(folder)):
        if not is_sealed(checkpoint):
            shutil.rmtree(checkpoint)
            continue
        if not (found := damage(checkpoint)):
            break
        aside = checkpoint.with_name(f"{ASIDE}{checkpoint.name}")
        shutil.rmtree(aside, ignore_errors=True)
        checkpoint.rename(aside)
        told.append(f"{checkpoint.name} is damaged: {'; '.join(found)}; set aside as {aside}")
    return told


def rewind_logs(artifact: Path, checkpoint: Path | None) -> None:
    """Take back what was logged after a checkpoint; all of it where there is none."""
    sizes = {} if checkpoint is None else json.loads((checkpoint / MANIFEST).read_bytes())["logs"]
    for path in (artifact / name for name in LOGS):
        if path.exists():
            with path.open("r+b") as stream:
                stream.truncate(min(path.stat().st_size, sizes.get(path.name, 0)))


def _artifact_of(checkpoint: Path) -> Path:
    return checkpoint.resolve().parents[1]
