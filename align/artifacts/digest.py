"""Digest: the sha256 of files and folders, remembered while size and modification time stay the same."""

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from align.artifacts.durable import write_json

SETTLED_NS = (
    2_000_000_000  # a file changed within the last two seconds may change again under the same time stamp
)


class Digests:
    """Content digests, cached in a JSON file keyed by path, size and modification time.

    Without a cache file nothing is remembered.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache
        self._known: dict[str, Any] = {}
        if cache is not None and cache.exists():
            try:
                known = json.loads(cache.read_text(encoding="utf-8"))
            except ValueError:  # a damaged cache costs time, nothing else
                known = None
            self._known = known if isinstance(known, dict) else {}

    def file(self, path: Path) -> str:
        """sha256 of a file's bytes."""
        found = self._lookup(path)
        if found is None:
            found = sha256_of(path)
            self._remember({path: found})
        return found

    def folder(self, path: Path) -> str:
        """sha256 over the relative names and contents of all visible files below a folder."""
        fresh: dict[Path, str] = {}
        total = hashlib.sha256()
        for file in visible_files(path):
            found = self._lookup(file)
            if found is None:
                found = fresh[file] = sha256_of(file)
            total.update(f"{file.relative_to(path).as_posix()}\0{found}\n".encode())
        self._remember(fresh)
        return total.hexdigest()

    def _lookup(self, path: Path) -> str | None:
        status = path.stat()
        match self._known.get(str(path.resolve())):
            case [status.st_size, status.st_mtime_ns, str(digest)]:
                return digest
        return None

    def _remember(self, fresh: dict[Path, str]) -> None:
        for path, digest in fresh.items():
            status = path.stat()
            if time.time_ns() - status.st_mtime_ns > SETTLED_NS:
                self._known[str(path.resolve())] = [status.st_size, status.st_mtime_ns, digest]
        if fresh and self._cache is not None:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._cache, self._known)


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def visible_files(folder: Path) -> Iterator[Path]:
    """Every file below a folder in a fixed order, hidden files and folders left out."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path
