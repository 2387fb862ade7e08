"""Forecast: stages that are to run + what earlier runs took -> seconds to expect. Torch-free.

Reads   lineage.json of complete artifacts
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from align.artifacts.store import ArtifactError, Store, read_lineage
from align.pipeline.plan import Planned


def forecast(store: Store, todo: Sequence[Planned], hardware: str) -> dict[str, float | None]:
    """Stage -> seconds, from the newest artifact of the same kind and name on the same hardware.

    Where both say how many steps they take, seconds are scaled by them. None where there is nothing to go by.
    """
    earlier: dict[tuple[str, str], Mapping[str, Any]] = {}
    for artifact in store.all():
        if not artifact.is_complete:
            continue
        try:
            found = read_lineage(artifact)
        except ArtifactError:  # a forecast is no reason to stop; whoever reads it will be told
            continue
        key = (str(found.get("kind")), str(found.get("stage")))
        is_same = found.get("hardware", {}).get("name") == hardware
        if is_same and str(found["ended"]) > str(earlier.get(key, {}).get("ended", "")):
            earlier[key] = found
    return {item.name: _seconds(item, earlier.get((item.stage.kind, item.name))) for item in todo}


def _seconds(item: Planned, before: Mapping[str, Any] | None) -> float | None:
    if before is None:
        return None
    spec = TypeAdapter(type(item.stage)).dump_python(item.stage, mode="json")
    now, then = steps_of(spec), steps_of(before["spec"])
    return float(before["seconds"]) * (now / then if now and then else 1.0)


def steps_of(spec: Mapping[str, Any]) -> int | None:
    """How many steps a stage is told to take; None where its data decides."""
    given = spec.get("updates") or (spec.get("trainer") or {}).get("max_steps")
    return int(given) if isinstance(given, int) and given > 0 else None
