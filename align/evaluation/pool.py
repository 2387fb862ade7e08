"""Pool: the evaluations of several runs (seeds, say) -> one table over runs x prompts. Torch-free.

Reads   runs/<name>/evaluate/{evaluation.json, samples.jsonl}
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from align.artifacts.json_lines import read_json_lines
from align.artifacts.store import ArtifactDir
from align.evaluation.rows import ENDED, LENGTH, Row, is_share, win_rate_parts
from align.evaluation.statistics import Interval, mean_intervals, of_share
from align.evaluation.table import evaluation_tables
from align.evaluation.weighted import weighted_interval
from align.evaluation.win_rate import wins

RESAMPLES = 2000

Sample = Mapping[str, Any]
Observation = tuple[int, float, float | None]  # cluster, value, weight; None where prompts count alike


def pooled_rows(folders: Sequence[ArtifactDir]) -> Iterator[Row]:
    """The rows that every evaluation has, over all of them; prompts of two runs are independent.

    What samples.jsonl does not hold prompt by prompt (the reward models' agreement with pairs) is the mean of
    the runs, without an interval.
    """
    evaluations = [json.loads(folder.evaluation.read_text(encoding="utf-8")) for folder in folders]
    samples, shares = [read_json_lines(folder.samples) for folder in folders], _shares(folders)
    values = [
        {(row["checkpoint"], row["suite"], row["metric"]): row for row in found["rows"]}
        for found in evaluations
    ]
    for key in values[0]:
        if not all(key in found for found in values):
            continue
        observed = [list(_observations(*key, found)) for found in samples]
        if all(observed):
            found = _pooled(observed)
            found = of_share(found) if _is_share(key[2], shares) else found
            yield Row(*key, found.value, found.low, found.high, found.n)
        else:
            rows = [found[key] for found in values]
            yield Row(
                *key, float(np.mean([row["value"] for row in rows])), None, None, sum(r["n"] for r in rows)
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one table over the runs whose folders are named."""
    parser = argparse.ArgumentParser(
        prog="python scripts/pool.py", description="One evaluation table over several runs."
    )
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, as outputs/runs/quickstart-0001")
    folders = [ArtifactDir(run / "evaluate") for run in parser.parse_args(arguments).runs]
    if missing := [folder for folder in folders if not folder.evaluation.exists()]:
        sys.stderr.write(f"no evaluation in {missing[0].path.parent}\n")
        return 2
    console = Console()
    for table in evaluation_tables([asdict(row) for row in pooled_rows(folders)], _shares(folders)):
        console.print(table)
    return 0


def _shares(folders: Sequence[ArtifactDir]) -> set[str] | None:
    """The metrics that any of the evaluations calls shares; None where one does not say."""
    told = [json.loads(folder.evaluation.read_text(encoding="utf-8")).get("shares") for folder in folders]
    return None if None in told else {metric for shares in told for metric in shares}


def _is_share(metric: str, shares: set[str] | None) -> bool:
    return is_share(metric) if shares is None else metric in shares


def _pooled(observed: Sequence[Sequence[Observation]]) -> Interval:
    """Rows of the same prompt in the same run are one cluster."""
    clusters = [f"{run}:{item[0]}" for run, found in enumerate(observed) for item in found]
    values = np.asarray([item[1] for found in observed for item in found])
    weights = [item[2] for found in observed for item in found if item[2] is not None]
    if not weights:
        return mean_intervals(values[:, None], clusters, resamples=RESAMPLES)[0]
    weighed = weighted_interval(values, weights, clusters, resamples=RESAMPLES, seed=0)
    assert weighed is not None  # a metric without any weight has no row
    return weighed


def _observations(
    checkpoint: str, label: str, metric: str, samples: Sequence[Sample]
) -> Iterator[Observation]:
    """Those of one run, for one metric of one checkpoint on a suite or a group of it."""
    for sample in samples:
        completions = sample["completions"]
        if checkpoint not in completions or not _belongs(sample, label):
            continue
        measured = completions[checkpoint].get("measured", {})
        own = measured.get(metric) or (_value(completions, checkpoint, metric), None)
        yield (sample["cluster"], *own)


def _belongs(sample: Sample, label: str) -> bool:
    suite, _, group = label.partition("/")
    key, _, wanted = group.partition("=")
    if sample["suite"] != suite or not group:
        return bool(sample["suite"] == suite)
    value = sample["reference"].get(key)
    return wanted == (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _value(completions: Mapping[str, Any], checkpoint: str, metric: str) -> float:
    own = completions[checkpoint]
    if metric in (LENGTH, ENDED):
        return float(own["tokens"] if metric == LENGTH else own["ended"])
    if parts := win_rate_parts(metric):
        reward, baseline = parts
        return float(wins(own["scores"][reward], completions[baseline]["scores"][reward]))
    return float(own["scores"][metric])
