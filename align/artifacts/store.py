"""Store: content-addressed folders on disk, looked up, locked and committed.

An artifact is complete when its lineage.json is there, which is written last; whatever comes before may be
cut off at any point and leaves an artifact that is not complete.
"""

import json
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align.artifacts.digest import Digests
from align.artifacts.durable import sync_tree, write_json
from align.artifacts.lock import INTERVAL, HeldError, Lock, Status, acquire
from align.artifacts.manifest import build_manifest, content_damage, json_digest, size_damage

NAME = re.compile(
    r"(?P<kind>[a-z][a-z0-9_]*)-(?P<identity>(?P<fingerprint>[0-9a-f]{12})(\.(?P<number>[1-9][0-9]*))?)"
)
RESUMABLE = frozenset({"checkpoints", "log", "metrics.jsonl", "samples.jsonl", "status.json"})
POLL = 0.5  # seconds between looks at a lock that somebody else holds


@dataclass(frozen=True)
class ArtifactDir:
    """The folder of one artifact and the names of what lies in it."""

    path: Path

    @property
    def name(self) -> str:
        """`<kind>-<fingerprint>`, with `.2`, `.3` … for those built afresh beside an earlier one."""
        return self.path.name

    @property
    def identity(self) -> str:
        """The name without the kind: what stands for it in the fingerprints of artifacts built on it."""
        return self.path.name.partition("-")[2]

    @property
    def model(self) -> Path:
        """Final weights and tokenizer, Hugging Face layout."""
        return self.path / "model"

    @property
    def adapter(self) -> Path:
        """The LoRA adapter alone, where one was trained; `model` holds the merged weights."""
        return self.path / "adapter"

    @property
    def data(self) -> Path:
        """What was read, as the stage reports it: per source card, revision, row counts and sha256."""
        return self.path / "data.json"

    @property
    def languages(self) -> Path:
        """What each language of the data costs in tokens."""
        return self.path / "languages.json"

    @property
    def metrics(self) -> Path:
        """One JSON line per logged step."""
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """Prompt, completion, score: what the policy says."""
        return self.path / "samples.jsonl"

    @property
    def evaluation(self) -> Path:
        """Tidy rows with intervals, where the stage measured something."""
        return self.path / "evaluation.json"

    @property
    def leaderboards(self) -> Path:
        """Who beats whom according to which judge, where the stage had judges."""
        return self.path / "leaderboards.json"

    @property
    def reward_models(self) -> Path:
        """What reward models are worth on pairs that people judged, where the stage measured some."""
        return self.path / "reward_models.json"

    @property
    def comparisons(self) -> Path:
        """The verdicts that leaderboards are made from, one line per judge, suite and pair."""
        return self.path / "comparisons.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Resumable checkpoints, one folder each."""
        return self.path / "checkpoints"

    @property
    def stop_request(self) -> Path:
        """Asks the stage that is building the artifact to save itself and end, once the file is there."""
        return self.path / ".stop"

    @property
    def log(self) -> Path:
        """Per-rank text logs."""
        return self.path / "log"

    @property
    def events(self) -> Path:
        """Event files of TensorBoard, which outlive the checkpoints."""
        return self.log / "events"

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


class ArtifactError(ValueError):
    """An artifact that is there but cannot be used; the message says what to do."""


class Store:
    """All artifacts below one outputs folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "artifacts"
        self.digests = Digests(root / "cache" / "digests.json")

    def artifact(self, kind: str, fingerprint: str) -> ArtifactDir:
        """The artifact of this identity: the newest complete one, else the one that is or would be built."""
        complete = [item for item in self._all_of(kind, fingerprint) if item.is_complete]
        return complete[-1] if complete else ArtifactDir(self.folder / f"{kind}-{fingerprint}")

    def fresh(self, kind: str, fingerprint: str) -> ArtifactDir:
        """A folder beside the complete ones of this identity; once complete, it takes their place."""
        number = 1
        for item in self._all_of(kind, fingerprint):
            if item.is_complete:
                number = _number(item) + 1
        suffix = f".{number}" if number > 1 else ""
        return ArtifactDir(self.folder / f"{kind}-{fingerprint}{suffix}")

    def named(self, name: str) -> ArtifactDir:
        """The artifact with this folder name, whether it exists or not."""
        return ArtifactDir(self.folder / name)

    def all(self) -> list[ArtifactDir]:
        """Every artifact folder, complete or not, by name."""
        if not self.folder.is_dir():
            return []
        return [ArtifactDir(path) for path in sorted(self.folder.iterdir()) if NAME.fullmatch(path.name)]

    def acquire(
        self,
        artifact: ArtifactDir,
        *,
        patience: float = 0.0,
        interval: float = INTERVAL,
        waiting: Callable[[Status], None] = lambda holder: None,
    ) -> Lock | None:
        """Lock an artifact to build it; clear what a dead predecessor left but for what can be resumed from.

        Args:
            artifact: the folder to lock; made when it does not exist.
            patience: seconds to wait for another holder; `math.inf` waits as long as it lives.
            interval: seconds between heartbeats.
            waiting: called once with the holder when there is something to wait for.

        Returns:
            The lock, or None when the artifact is complete and nothing is left to do.

        Raises:
            HeldError: somebody else was still building it when patience ran out.
        """
        deadline, told = time.monotonic() + patience, False
        while not artifact.is_complete:
            try:
                lock = acquire(artifact.path, interval)
            except HeldError as held:
                if time.monotonic() >= deadline:
                    raise
                if not told:
                    waiting(held.holder)
                    told = True
                time.sleep(POLL)
                continue
            if artifact.is_complete:  # committed between our look and our lock
                lock.release("complete")
                return None
            _clear(artifact.path)
            return lock
        return None

    def commit(self, lock: Lock, lineage: Mapping[str, Any]) -> None:
        """Make a locked artifact complete: from here on it is never written again.

        Raises:
            LostError: somebody else took the artifact over meanwhile.
        """
        artifact = ArtifactDir(lock.folder)
        manifest = build_manifest(artifact.path)
        sync_tree(artifact.path)
        lock.verify()
        content = {**lineage, "manifest": manifest}
        write_json(artifact.lineage, {**content, "digest": json_digest(content)})
        lock.release("complete")
        shutil.rmtree(artifact.checkpoints, ignore_errors=True)  # nothing resumes a finished stage

    def _all_of(self, kind: str, fingerprint: str) -> list[ArtifactDir]:
        stem = f"{kind}-{fingerprint}"
        same = [item for item in self.all() if item.name.split(".")[0] == stem]
        return sorted(same, key=_number)


def read_lineage(artifact: ArtifactDir) -> dict[str, Any]:
    """What lineage.json holds.

    Raises:
        ArtifactError: the artifact is not complete, or the file is damaged.
    """
    try:
        content = json.loads(artifact.lineage.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{artifact.name} is not complete: it has no lineage.json") from None
    except ValueError as cause:
        raise ArtifactError(f"{artifact.name}: lineage.json is damaged ({cause}); {_REMEDY}") from None
    digest = content.pop("digest", None) if isinstance(content, dict) else None
    if digest is None or digest != json_digest(content):
        raise ArtifactError(f"{artifact.name}: lineage.json was changed since it was written; {_REMEDY}")
    found: dict[str, Any] = content
    return found


def check_sizes(artifact: ArtifactDir) -> None:
    """Check a complete artifact in well under a second, as is done whenever it is reused.

    Raises:
        ArtifactError: a file is missing or has another size, or lineage.json was changed.
    """
    _raise_damage(artifact, size_damage(artifact.path, read_lineage(artifact)["manifest"]))


def check_contents(artifact: ArtifactDir) -> None:
    """Check every byte of a complete artifact, as is done when a stage reads it.

    Raises:
        ArtifactError: a file is missing or was changed.
    """
    _raise_damage(artifact, content_damage(artifact.path, read_lineage(artifact)["manifest"]))


_REMEDY = "delete the folder, or build it again with run.fresh=[<stage>]"


def _raise_damage(artifact: ArtifactDir, damage: list[str]) -> None:
    if damage:
        raise ArtifactError(f"{artifact.name} is damaged: {'; '.join(damage)}. To repair: {_REMEDY}")


def _number(artifact: ArtifactDir) -> int:
    found = NAME.fullmatch(artifact.name)
    return int(found["number"] or 1) if found else 1


def _clear(folder: Path) -> None:
    """Remove what an interrupted builder left, but for what it can resume from."""
    for path in folder.iterdir():
        if path.name in RESUMABLE or path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
