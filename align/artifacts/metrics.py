"""Metrics: append to and read `metrics.jsonl`, one JSON object per logged step."""

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TOTAL_STEPS = "total_steps"  # name under which a training stage logs its length before the first step


class MetricsLog:
    """Appends `{"step", "time", "split", <name>: <number>, …}` lines, each whole or torn off by a crash."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, step: int, values: Mapping[str, float], split: str = "train") -> None:
        """Add one line. A value that is not finite is written as null, which JSON can hold."""
        row = {"step": step, "time": round(time.time(), 3), "split": split}
        row.update({name: value if math.isfinite(value) else None for name, value in values.items()})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = (json.dumps(row) + "\n").encode()
        with self.path.open("ab") as stream:
            if _ends_torn(self.path):
                line = b"\n" + line
            stream.write(line)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All logged rows, oldest first; a line torn by a crash is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def final_values(path: Path) -> dict[str, float]:
    """The last value of every metric, held-out splits as `<split>/<name>`."""
    last: dict[str, float] = {}
    for row in read_metrics(path):
        prefix = "" if row["split"] == "train" else f"{row['split']}/"
        numbers = {name: value for name, value in row.items() if name not in ("step", "time", "split")}
        last.update({f"{prefix}{name}": value for name, value in numbers.items() if value is not None})
    return last


def _ends_torn(path: Path) -> bool:
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"
