"""Manifest: the size and sha256 of every file of a finished artifact, and what is wrong with it later."""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from align.artifacts.digest import sha256_of, visible_files

# No results: who builds it, what it printed, what it would resume from, the file that holds the manifest.
LEFT_OUT = frozenset({"status.json", "log", "checkpoints", "lineage.json"})

Manifest = Mapping[str, Mapping[str, Any]]


def build_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Relative name -> size in bytes and sha256, for every result below a folder."""
    found = {name: folder / name for name in _results(folder)}
    return {name: {"size": path.stat().st_size, "sha256": sha256_of(path)} for name, path in found.items()}


def json_digest(content: Mapping[str, Any]) -> str:
    """sha256 of what a JSON file holds, however it is laid out."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def size_damage(folder: Path, manifest: Manifest) -> list[str]:
    """Files that are gone or have another size; looks at no content, so it is quick for any model."""
    found = []
    for name, entry in manifest.items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            found.append(f"{name} is missing")
        elif size != entry["size"]:
            found.append(f"{name} has {size} bytes, was written with {entry['size']}")
    return found


def content_damage(folder: Path, manifest: Manifest) -> list[str]:
    """Files that are gone or hold other bytes than were written; reads everything."""
    return size_damage(folder, manifest) or [
        f"{name} was changed since it was written (sha256 differs)"
        for name, entry in manifest.items()
        if sha256_of(folder / name) != entry["sha256"]
    ]


def added_files(folder: Path, known: Collection[str]) -> list[str]:
    """Files whose names are not known; looks at no content."""
    return [f"{name} was added" for name in _results(folder) if name not in known]


def _results(folder: Path) -> list[str]:
    """Relative names of all files that count; none of them is read."""
    names = (path.relative_to(folder) for path in visible_files(folder))
    return [name.as_posix() for name in names if name.parts[0] not in LEFT_OUT]
