"""Checkpoint: a folder to resume from that says itself whether it is whole.

Writes  manifest.json, last of its files
"""

import hashlib
import json
from pathlib import Path

MANIFEST = "manifest.json"


def seal(folder: Path) -> None:
    """Write the manifest: size and sha256 of every file, by atomic rename."""
    draft = folder / f".{MANIFEST}"
    draft.write_text(json.dumps(_digests(folder), indent=1))
    draft.replace(folder / MANIFEST)


def newest_complete(checkpoints: Path) -> Path | None:
    """The checkpoint with the most steps whose files are all as its manifest says."""
    found = sorted(checkpoints.glob("checkpoint-*"), key=lambda folder: int(folder.name.rpartition("-")[2]))
    return next((folder for folder in reversed(found) if _is_complete(folder)), None)


def _is_complete(folder: Path) -> bool:
    manifest = folder / MANIFEST
    return manifest.exists() and json.loads(manifest.read_text()) == _digests(folder)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name not in (MANIFEST, f".{MANIFEST}")
    )
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
