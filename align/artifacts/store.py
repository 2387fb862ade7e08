"""Store: content-addressed folders on disk, looked up, locked and committed."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ArtifactDir:
    """The folder of one artifact and the names of what lies in it."""

    path: Path

    @property
    def model(self) -> Path:
        """Final weights and tokenizer, Hugging Face layout."""
        return self.path / "model"

    @property
    def adapter(self) -> Path:
        """The LoRA adapter alone, where one was trained; `model` holds the merged weights."""
        return self.path / "adapter"

    @property
    def metrics(self) -> Path:
        """One JSON line per logged step."""
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """Prompt, completion, score: what the policy says."""
        return self.path / "samples.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Resumable checkpoints, one folder each."""
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        """Per-rank text logs."""
        return self.path / "log"

    @property
    def stage_json(self) -> Path:
        """The resolved spec: enough to reproduce the artifact."""
        return self.path / "stage.json"

    @property
    def status(self) -> Path:
        """running, failed or complete, with a heartbeat."""
        return self.path / "status.json"

    @property
    def lineage(self) -> Path:
        """Written last, by atomic rename: its presence is completion."""
        return self.path / "lineage.json"

    @property
    def is_complete(self) -> bool:
        """Whether the artifact was committed."""
        return self.lineage.exists()
