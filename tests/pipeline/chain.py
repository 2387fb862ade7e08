"""A whole chain on toy data, watched while it runs: what it wrote, and when."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.pipeline.conftest import Toy

STAGES = ("pretrain", "sft", "dpo", "reward", "ppo")  # in the order they are built
STEPS = 8
LOGISTICS = ("checkpoints.every_steps=1", f"limits.steps={STEPS}", "pipeline=chain")


@dataclass(frozen=True)
class Event:
    """A file or folder that appeared below the outputs, seconds after the start."""

    seconds: float
    path: str


class Chain:
    """One outputs folder in which the chain runs, is killed, and goes on."""

    def __init__(self, toy: Toy, outputs: Path, *words: str) -> None:
        self.outputs = outputs
        outputs.mkdir()
        self._toy = toy
        self._words = (*LOGISTICS, *words)

    def start(self) -> "subprocess.Popen[str]":
        """Start the chain, or what is left of it."""
        return self._toy.start(self.outputs, *self._words)

    def finish(self) -> str:
        """Run what is left to its end; what it printed."""
        done = self._toy.run(self.outputs, *self._words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def record(self) -> list[Event]:
        """Run the chain undisturbed and note when every file appeared."""
        seen: dict[str, float] = {}
        is_over = threading.Event()

        def watch() -> None:
            while not is_over.is_set():
                for path in files_below(self.outputs):
                    seen.setdefault(path, time.monotonic())

        started = time.monotonic()
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            self.finish()
        finally:
            is_over.set()
            watcher.join()
        return sorted((Event(when - started, path) for path, when in seen.items()), key=lambda e: e.seconds)

    def artifact(self, stage: str) -> Path:
        """The folder of a stage's artifact, once there is one."""
        return next((self.outputs / "artifacts").glob(f"{stage}-*"))

    def weights(self) -> dict[str, bytes]:
        """Every weight file that the stages left: models, and PPO's value model."""
        folders = [self.artifact(stage) / name for stage in STAGES for name in ("model", "value")]
        files = [path for folder in folders for path in folder.glob("*.safetensors")]
        return {str(path.relative_to(self.outputs)): path.read_bytes() for path in files}

    def rows(self, stage: str) -> list[dict[str, float]]:
        """What a stage logged."""
        return [*map(json.loads, (self.artifact(stage) / "metrics.jsonl").read_text().splitlines())]


def files_below(folder: Path) -> Iterator[str]:
    """Every path below a folder, while it changes; hidden files too, as those are being written."""
    root = str(folder)
    waiting = [root]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            yield entry.path[len(root) + 1 :]
            if not entry.is_symlink() and entry.is_dir():
                waiting.append(entry.path)
