"""Sweep: what every run of a multirun came to, and one table of override -> metric at its end.

Writes  outputs/sweeps/<time>-<pid>/job-<number>.json
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from rich.table import Table

from align.artifacts.durable import write_json
from align.artifacts.metrics import final_values
from align.artifacts.store import ArtifactDir
from align.evaluation.rows import ENDED, LENGTH, win_rate_parts
from align.pipeline.invocation import Invocation
from align.pipeline.live import screen

FOLDER = "ALIGN_SWEEP"  # environment variable: the jobs of a parallel launcher are processes of their own
COLUMNS = 6
TIMING = "trainer/"  # what the trainer says of itself, such as its speed


@dataclass(frozen=True)
class SweepJob:
    """One run of a sweep."""

    number: int
    overrides: tuple[str, ...]
    code: int
    message: str
    run: str | None
    metrics: Mapping[str, float]


class SweepTable(Callback):
    """Hydra callback: names the sweep's folder before the first job, prints the table after the last."""

    def on_multirun_start(self, config: Any, **kwargs: Any) -> None:
        """Choose the folder that all jobs report to."""
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        os.environ[FOLDER] = str(Path(config.paths.outputs) / "sweeps" / name)

    def on_multirun_end(self, config: Any, **kwargs: Any) -> None:
        """Print the table.

        Raises:
            SystemExit: a job did not succeed.
        """
        jobs = read_jobs(Path(os.environ.pop(FOLDER)))
        screen().print(sweep_table(jobs))
        if code := max((job.code for job in jobs), default=0):
            raise SystemExit(code)


def note_job(invocation: Invocation, code: int, message: str, run: Path | None) -> None:
    """Leave a job's result where the end of the sweep finds it."""
    assert invocation.job is not None
    metrics = run_metrics(run) if run is not None and code == 0 else {}
    job = SweepJob(invocation.job, invocation.overrides, code, message, str(run) if run else None, metrics)
    folder = Path(os.environ[FOLDER])
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"job-{job.number}.json", asdict(job))


def read_jobs(folder: Path) -> list[SweepJob]:
    """All jobs of a sweep by number."""
    jobs = [SweepJob(**json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob("job-*.json")]
    return sorted(jobs, key=lambda job: job.number)


def run_metrics(run: Path) -> dict[str, float]:
    """What a run is judged by: evaluations of whole suites; where there is none, its last stage's metrics."""
    stages = list(json.loads((run / "run.json").read_text(encoding="utf-8"))["stages"])
    evaluations = [path for name in stages if (path := ArtifactDir(run / name).evaluation).exists()]
    if not evaluations:
        values = final_values(ArtifactDir(run / stages[-1]).metrics)
        return {name: value for name, value in values.items() if not name.startswith(TIMING)}
    rows = [row for path in evaluations for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]
    return {
        f"{row['checkpoint']} {row['suite']} {row['metric']}": row["value"]
        for row in rows
        if "/" not in row["suite"] and row["metric"] not in (LENGTH, ENDED)
    }


def sweep_table(jobs: Sequence[SweepJob]) -> Table:
    """One row per job: the overrides and the metrics that differ between jobs.

    There is room for a few; those of checkpoints that others are compared with come last.
    """
    swept = [
        [word for word in job.overrides if any(word not in other.overrides for other in jobs)] for job in jobs
    ]
    every = dict.fromkeys(name for job in jobs for name in job.metrics)
    baselines = {parts[1] for name in every if (parts := win_rate_parts(name))}
    varying = [name for name in every if _varies(jobs, name)]
    names = sorted(varying, key=lambda name: name.partition(" ")[0] in baselines)[:COLUMNS]
    table = Table()
    table.add_column("override", no_wrap=True)
    for name in (*names, "run"):
        table.add_column(name, overflow="fold")
    for job, words in zip(jobs, swept, strict=True):
        values = [f"{job.metrics[name]:.4g}" if name in job.metrics else "" for name in names]
        table.add_row(" ".join(words) or "(none)", *values, _came_to(job))
    return table


def _came_to(job: SweepJob) -> str:
    if job.code:
        return f"failed: {job.message.splitlines()[0]}"
    return Path(job.run).name if job.run else "planned"


def _varies(jobs: Sequence[SweepJob], name: str) -> bool:
    return len(jobs) == 1 or len({job.metrics.get(name) for job in jobs if job.code == 0}) > 1
