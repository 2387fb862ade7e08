"""Places: what somebody calls a model -> where its weights lie. Torch-free.

Reads   outputs/runs/<run>/<stage>, outputs/artifacts/<name>, model folders
"""

from dataclasses import dataclass
from pathlib import Path

from align.artifacts.hub_name import hub_name
from align.artifacts.store import ArtifactDir, check_sizes, read_lineage

SILENT = ("reward", "evaluate")  # kinds whose artifacts do not talk


class PlaceError(ValueError):
    """No model is called that; the message says what was looked at."""


@dataclass(frozen=True)
class Place:
    """Weights to talk to: a folder, or a Hub id at a revision."""

    name: str
    path: str
    revision: str | None = None


def find(name: str, outputs: Path, run: str | None) -> Place:
    """The model that is called `name`.

    Args:
        name: a stage of the run, an artifact, a folder (artifact or Hugging Face layout), or
            `<Hub id>[@<revision>]`.
        outputs: where runs and artifacts lie.
        run: the run whose stages are meant; None for the newest.

    Raises:
        PlaceError: there is none, or it does not talk.
        ArtifactError: it is damaged.
    """
    folder = _run_folder(outputs, run)
    known = [Path(name).expanduser(), *([folder / name] if folder else []), outputs / "artifacts" / name]
    for path in known:
        if (path / "lineage.json").is_file():
            return _artifact(name, ArtifactDir(path.resolve()))
        if (path / "config.json").is_file():
            return Place(path.resolve().name if path.is_dir() else name, str(path))
    try:
        found = hub_name(name)
    except ValueError as problem:
        raise PlaceError(str(problem)) from None
    if found is not None:
        hub, revision = found
        return Place(hub.rpartition("/")[2], hub, revision)
    where = f"there is no run below {outputs}"
    if folder is not None:
        stages = sorted(path.name for path in folder.iterdir() if path.is_symlink())
        where = f"the run {folder.name} has {', '.join(stages)}"
    raise PlaceError(f"{name}: no stage, artifact or model folder is called that; {where}")


def _run_folder(outputs: Path, run: str | None) -> Path | None:
    runs = outputs / "runs"
    if run is not None:
        if not (runs / run / "run.json").is_file():
            raise PlaceError(f"--run {run}: there is no such run below {runs}")
        return runs / run
    found = sorted(runs.glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent if found else None


def _artifact(name: str, artifact: ArtifactDir) -> Place:
    check_sizes(artifact)
    kind = read_lineage(artifact)["kind"]
    if kind in SILENT or not artifact.model.is_dir():
        raise PlaceError(f"{name}: {artifact.name} does not talk; name one that sft, dpo or ppo built")
    return Place(name if "/" not in name else artifact.name, str(artifact.model))
