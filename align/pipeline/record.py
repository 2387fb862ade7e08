"""Record: the run folder, by which a person finds what one command did.

Writes  runs/<name>/{config.yaml, run.json, <stage> -> artifact}
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from align.artifacts.durable import write_text
from align.artifacts.runs import link, run_folder
from align.artifacts.store import ArtifactDir
from align.pipeline.gate import GateResult

StageStatus = Literal["cached", "resumed", "ran", "stopped", "failed"]


@dataclass(frozen=True)
class StageRecord:
    """What became of one stage."""

    status: StageStatus
    artifact: str
    seconds: float


class RunRecord:
    """The folder of one run; `run.json` is whole after every stage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stages: dict[str, StageRecord] = {}
        self._gates: dict[str, Mapping[str, GateResult]] = {}

    @classmethod
    def start(cls, outputs: Path, name: str | None, label: str, config: str) -> "RunRecord":
        """Make the folder and write the config into it."""
        record = cls(run_folder(outputs, name, label))
        write_text(record.folder / "config.yaml", config)
        return record

    def add(self, name: str, status: StageStatus, artifact: ArtifactDir, seconds: float) -> None:
        """Note a stage's end and link its artifact."""
        self.stages[name] = StageRecord(status, artifact.name, round(seconds, 3))
        if artifact.path.is_dir():
            link(self.folder, name, artifact)
        self.write()

    def note_gates(self, name: str, results: Mapping[str, GateResult]) -> None:
        """Note what a stage's gates found; it goes into run.json with what follows."""
        if results:
            self._gates[name] = results

    def write(self, error: str | None = None) -> None:
        """Write run.json, the stages in the order they were built."""
        content = {
            "stages": {name: asdict(stage) for name, stage in self.stages.items()},
            "gates": {
                name: {gate: asdict(result) for gate, result in results.items()}
                for name, results in self._gates.items()
            },
            "error": error,
        }
        write_text(self.folder / "run.json", json.dumps(content, indent=2) + "\n")


def config_text(config: str, overrides: Sequence[str]) -> str:
    """config.yaml: the overrides on the first line, then the config as composed."""
    return f"# {' '.join(overrides) or 'no overrides'}\n{config}"
