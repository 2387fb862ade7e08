"""Lineage: where an artifact came from, recorded when it is complete and walked back to the first ancestor.

Code and packages are recorded, not hashed: they explain a result, they do not name it.
"""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from align.artifacts.metrics import final_values
from align.artifacts.store import ArtifactDir, read_lineage
from align.config.secret import masked

SOURCE = Path(__file__).resolve().parents[2]
PACKAGES = (
    "align", "accelerate", "datasets", "deepspeed", "hydra-core", "numpy", "peft", "pydantic", "safetensors",
    "tokenizers", "torch", "transformers", "trl",
)  # fmt: skip


def build_lineage(
    *,
    stage: str,
    spec: Any,
    fingerprint: str,
    parents: Mapping[str, ArtifactDir],
    output: ArtifactDir,
    hardware: Mapping[str, Any],
    world_size: int,
    started: float,
    ended: float,
) -> dict[str, Any]:
    """Gather everything that lineage.json says besides the manifest.

    Args:
        stage: the stage's name in its pipeline.
        spec: the bound stage.
        fingerprint: its identity.
        parents: stage name -> artifact that was read.
        output: the artifact being finished; its `data.json` and `metrics.jsonl` are taken in.
        hardware: the `hardware` section of the run.
        world_size: training processes over all hosts.
        started: seconds since the epoch.
        ended: seconds since the epoch.
    """
    plain = masked(TypeAdapter(type(spec)).dump_python(spec, mode="json"))
    return {
        "stage": stage,
        "kind": spec.kind,
        "fingerprint": fingerprint,
        "spec": plain,
        "spec_digest": hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest(),
        "parents": {name: parent.name for name, parent in parents.items()},
        "data": _data_read(output),
        "code": code_version(),
        "packages": package_versions(),
        "hardware": {**hardware, **machine()},
        "world_size": world_size,
        "effective_batch": getattr(spec, "batch_size", None),
        "started": _iso(started),
        "ended": _iso(ended),
        "seconds": round(ended - started, 3),
        "metrics": final_values(output.metrics),
    }


def walk(artifact: ArtifactDir) -> Iterator[tuple[ArtifactDir, dict[str, Any]]]:
    """An artifact and all its ancestors with their lineage, each once, nearest first.

    Raises:
        ArtifactError: one of them is absent or damaged.
    """
    waiting, seen = [artifact], {artifact.name}
    while waiting:
        current = waiting.pop(0)
        lineage = read_lineage(current)
        yield current, lineage
        for name in lineage["parents"].values():
            if name not in seen:
                seen.add(name)
                waiting.append(ArtifactDir(current.path.parent / name))


def code_version() -> dict[str, Any]:
    """The git commit of the source and whether files differ from it; nulls outside a checkout."""
    if not (SOURCE / ".git").exists():
        return {"commit": None, "dirty": None}
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """The host as the operating system describes it."""
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _processor() -> str:
    description = Path("/proc/cpuinfo")
    if description.exists():
        for line in description.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(SOURCE), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):  # no git here, or a file system too slow to ask
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _data_read(output: ArtifactDir) -> Any:
    return json.loads(output.data.read_text(encoding="utf-8")) if output.data.exists() else None


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
