"""Journal: what an update did -> metrics.jsonl, what the policy said -> samples.jsonl, alarms -> the log."""

import json
import sys

from align.artifacts.metrics import MetricsLog
from align.artifacts.store import ArtifactDir
from align.ppo.alarms import Alarms
from align.ppo.collect import Collected
from align.runtime.processes import rank
from align.runtime.trackers import Trackers

SAMPLES = 10  # completions of a rollout that are written down


class Journal:
    """Writes every update's numbers, and at every `every`-th, the first and the last some completions."""

    def __init__(self, output: ArtifactDir, every: int, alarms: Alarms, trackers: Trackers) -> None:
        self._output = output
        self._metrics = MetricsLog(output.metrics)
        self._every = every
        self._alarms = alarms
        self._trackers = trackers

    def held_out(self, update: int, metrics: dict[str, float]) -> None:
        """What was found on held-out prompts."""
        if rank() == 0:
            self._write(update, metrics, "held_out")

    def __call__(self, update: int, metrics: dict[str, float], collected: Collected, is_last: bool) -> None:
        if rank() != 0:
            return
        self._write(update, metrics)
        sys.stdout.writelines(f"alarm at update {update}: {said}\n" for said in self._alarms.new(metrics))
        if update == 1 or is_last or update % self._every == 0:
            with self._output.samples.open("a", encoding="utf-8") as stream:
                stream.writelines(
                    json.dumps(_sample(update, collected, row), ensure_ascii=False) + "\n"
                    for row in range(min(SAMPLES, len(collected.completions)))
                )

    def _write(self, update: int, metrics: dict[str, float], split: str = "train") -> None:
        self._metrics.append(update, metrics, split)
        self._trackers.log(metrics, update, split)


def _sample(update: int, collected: Collected, row: int) -> dict[str, object]:
    completion = collected.completions[row]
    return {
        "step": update,
        "prompt": [message.as_dict() for message in collected.prompts[row].messages],
        "text": completion.text,
        "ended": completion.ended,
        "score": float(collected.rollout.scores[row]),
        "parts": {name: float(values[row]) for name, values in collected.parts.items()},
    }
