"""kill -9 of anybody at any moment: the same command goes on, and ends with the same weights."""

import os
import random
import re
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest
from safetensors.torch import load

from align.artifacts.checkpoint import checkpoints_in, is_sealed, step_of
from tests.pipeline.chain import STAGES, STEPS, Chain, Event
from tests.pipeline.conftest import Toy
from tests.pipeline.processes import descendants, has_ended, rank_of, wait_until, workers

Kind = Literal["training", "save", "generation", "request", "commit", "record", "between"]
INSIDE = ("training", "save", "generation", "request")  # a request to stop kills nobody
SEED = 0
ORPHAN_SECONDS = 30
LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Point:
    """A moment to kill somebody: so long after a path has appeared below the outputs."""

    kind: Kind
    stage: str
    who: str
    path: str  # a pattern where a file has a new name every time
    before: str = ""  # what must not be there yet
    delay: float = 0.0

    def __str__(self) -> str:
        later = f" + {1000 * self.delay:.0f} ms" if self.delay else ""
        return f"{self.stage:9} {self.kind:10} {self.who:9} at {self.path}{later}"


class Draw:
    """Moments that a seed draws from what an undisturbed run wrote when."""

    def __init__(self, chain: Chain, events: Sequence[Event], who: Sequence[str], seed: int) -> None:
        self._at = {event.path: event.seconds for event in events}
        self._chain = chain
        self._random = random.Random(seed)
        self._who = who

    def points(self, kinds: Mapping[str, Sequence[Kind]]) -> list[Point]:
        """The kinds asked for, of each stage, at steps of its own, in the order in which they come up."""
        found = []
        for stage, wanted in kinds.items():
            inner = [kind for kind in wanted if kind in INSIDE]
            self._random.shuffle(inner)
            steps = sorted(self._random.sample(range(1, STEPS), len(inner)))
            if "request" in inner:  # first, as a stage takes some more steps until it hears of it
                inner.sort(key="request".__ne__)
                steps = [1, *sorted(self._random.sample(range(4, STEPS), len(inner) - 1))]
            found += [self._inside(stage, kind, step) for kind, step in zip(inner, steps, strict=True)]
            found += [self._after(stage, kind) for kind in wanted if kind not in inner]
        return found

    def _inside(self, stage: str, kind: Kind, step: int) -> Point:
        """Between two saves; amid one, before its manifest; while the policy answers."""
        who = "pipeline" if kind == "request" else self._random.choice(self._who)
        folder = f"{self._folder(stage)}/checkpoints/checkpoint-{step}/"
        sealed = f"{folder}manifest.json"
        if kind == "save":
            inside = [path for path in self._at if path.startswith(folder) and not path.endswith(".tmp")]
            files = sorted((path for path in inside if "." in path.split("/")[-1]), key=self._at.__getitem__)
            return Point(kind, stage, who, self._random.choice(files[: len(files) // 2]), sealed)
        if kind == "generation":  # the first thing in every update
            seconds = self._chain.rows(stage)[step + 1]["time/generate"]  # the row before is the schedule
        else:
            following = f"{self._folder(stage)}/checkpoints/checkpoint-{step + 1}/"
            begun = min(self._at[path] for path in self._at if path.startswith(following))
            seconds = begun - self._at[sealed]
        seconds = 0.0 if kind == "request" else seconds
        return Point(kind, stage, who, sealed, delay=self._random.uniform(0.1, 0.9) * max(0.0, seconds))

    def _after(self, stage: str, kind: Kind) -> Point:
        """While an artifact or the run's record is written; before the next stage begins."""
        lineage = f"{self._folder(stage)}/lineage.json"
        if kind == "commit":
            return Point(
                kind, stage, "pipeline", f"{self._folder(stage)}/*lineage.json*", lineage
            )  # its draft, too
        if kind == "record":
            return Point(kind, stage, "pipeline", "runs/*/.run.json.*.tmp")
        following = f"{self._folder(STAGES[STAGES.index(stage) + 1])}/stage.json"
        gap = self._at[following] - self._at[lineage]
        return Point(kind, stage, "pipeline", lineage, following, self._random.uniform(0.1, 0.9) * gap)

    def _folder(self, stage: str) -> str:
        return f"artifacts/{self._chain.artifact(stage).name}"


class Family:
    """A run's processes, looked up now and then, so that nothing need be looked up when a moment comes."""

    def __init__(self, pipeline: int, who: str) -> None:
        self._pipeline = pipeline
        self._who = who
        self._looked = 0.0
        self.seen: set[int] = set()
        self.victim = pipeline

    def look(self) -> None:
        """Who is there now, and who among them is to be killed."""
        if self._looked + LOOK_SECONDS > time.monotonic():
            return
        self._looked = time.monotonic()
        self.seen |= descendants(self._pipeline)
        if self._who != "pipeline":
            child = next(iter(workers(self._pipeline)), self._pipeline)
            ranks = {rank_of(pid): pid for pid in workers(child)}
            self.victim = ranks.get(int(self._who[-1]), child) if "rank" in self._who else child


def files(outputs: Path, pattern: str) -> set[tuple[str, int]]:
    """What is there, told apart from what was there under the same name before."""
    found = set()
    for path in outputs.glob(pattern):
        with suppress(OSError):
            found.add((str(path), path.stat().st_mtime_ns))
    return found


def still_to_come(point: Point, outputs: Path) -> Point:
    """The point at a later step, where the stage went further than planned until it was killed last."""
    if not (planned := re.search(r"/checkpoint-(\d+)/", point.path)):
        return point
    folder = outputs / point.path[: planned.start()]
    reached = max((step_of(item) for item in checkpoints_in(folder) if is_sealed(item)), default=0)
    if reached < int(planned[1]):
        return point
    assert reached + 1 < STEPS, f"{point}: the stage is at step {reached}"
    here, there = planned[0], f"/checkpoint-{reached + 1}/"
    return replace(point, path=point.path.replace(here, there), before=point.before.replace(here, there))


def struck(chain: Chain, point: Point) -> str:
    """Start the chain, kill whom the point names when its moment has come, and see that nobody is left."""
    point = still_to_come(point, chain.outputs)
    seen = files(chain.outputs, point.path)
    running = chain.start()
    family = Family(running.pid, point.who)

    def has_come() -> bool:
        family.look()
        return running.poll() is not None or bool(files(chain.outputs, point.path) - seen)

    wait_until(has_come, str(point), pause=0)
    time.sleep(point.delay)
    os.kill(family.victim, signal.SIGTERM if point.kind == "request" else signal.SIGKILL)
    is_before = not point.before or not (chain.outputs / point.before).exists()
    assert running.poll() in (None, -signal.SIGKILL), (str(point), running.communicate())
    running.communicate(timeout=ORPHAN_SECONDS)
    killed = 1 if family.victim != running.pid else -signal.SIGKILL
    assert running.returncode == (75 if point.kind == "request" else killed), str(point)
    wait_until(lambda: all(map(has_ended, family.seen)), f"end of all after {point}", ORPHAN_SECONDS)
    return f"{point}{'' if is_before else '  just missed'}"


def difference(one: Chain, other: Chain) -> float:
    """The largest distance between two weights of the same name."""
    assert one.weights().keys() == other.weights().keys() and len(one.weights()) == len(STAGES) + 1
    pairs = [(load(one.weights()[name]), load(other.weights()[name])) for name in one.weights()]
    return max(float((a[key] - b[key]).abs().max()) for a, b in pairs for key in a)


def logged(chain: Chain) -> dict[str, list[dict[str, object]]]:
    """What all stages logged, but for what tells the time."""
    return {
        stage: [
            {
                name: value
                for name, value in row.items()
                if not {"time", "second"} & set(re.split(r"\W|_|s\b", name))
            }
            for row in chain.rows(stage)
        ]
        for stage in STAGES
    }


def killed_again_and_again(toy: Toy, folder: Path, kinds: Mapping[str, Sequence[Kind]], who: Sequence[str],
                           words: Sequence[str] = ()) -> tuple[Chain, Chain, list[str]]:  # fmt: skip
    """An undisturbed chain, and one that was killed at every point that was drawn from the first."""
    whole, broken = Chain(toy, folder / "whole", *words), Chain(toy, folder / "broken", *words)
    points = Draw(whole, whole.record(), who, SEED).points(kinds)
    told = [struck(broken, point) for point in points]
    broken.finish()
    return whole, broken, told


def test_a_chain_that_is_killed_ends_with_the_same_bits(toy, tmp_path: Path) -> None:
    kinds: dict[str, list[Kind]] = {
        "sft": ["save", "commit"],
        "dpo": ["training"],
        "reward": ["between"],
        "ppo": ["generation", "request", "record"],
    }
    whole, broken, told = killed_again_and_again(toy, tmp_path, kinds, ["worker"])
    print(*told, sep="\n")
    assert whole.weights() == broken.weights()
    assert logged(whole) == logged(broken)


EVERYTHING: dict[str, list[Kind]] = {
    "pretrain": ["training", "between"],
    "sft": ["training", "save", "training", "commit"],
    "dpo": ["training", "save", "training", "record"],
    "reward": ["training", "save", "training", "between"],
    "ppo": ["training", "save", "generation", "generation", "training", "commit"],
}


@pytest.mark.slow
def test_twenty_kills_leave_no_trace(toy, tmp_path: Path) -> None:
    whole, broken, told = killed_again_and_again(toy, tmp_path, EVERYTHING, ["worker", "pipeline"])
    print(*told, sep="\n")
    assert len(told) == 20
    assert whole.weights() == broken.weights()
    assert logged(whole) == logged(broken)


@pytest.mark.slow
def test_ranks_launcher_and_pipeline_can_be_killed(toy, tmp_path: Path) -> None:
    kinds: dict[str, list[Kind]] = {
        "sft": ["training", "save"],
        "dpo": ["training"],
        "reward": ["save"],
        "ppo": ["request", "generation", "save"],
    }
    who = ["rank 0", "rank 1", "launcher", "pipeline"]
    words = ("hardware=2xcpu", "parallel=zero2")
    whole, broken, told = killed_again_and_again(toy, tmp_path, kinds, who, words)
    print(*told, sep="\n")
    assert difference(whole, broken) <= 1e-6
