"""The benchmark runs on a slice: every task, here and through TRL, with one table at the end."""

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_benchmark_compares_both_on_a_slice(align_data: Path) -> None:
    # Three steps on one batch of all the rows (the first has a learning rate of zero), in the same precision:
    # whatever the order of the rows, both have to learn the same.
    command = [sys.executable, "scripts/bench_trainers.py", "--rows", "16", "--epochs", "3"]
    done = subprocess.run(
        [*command, "--precision", "fp32", "--threads", "1", "--systems", "align,trl"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "ALIGN_DATA": str(align_data), "COLUMNS": "120"},
    )

    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(run["task"], run["system"]) for run in found] == list(
        product(("sft", "reward", "dpo"), ("align", "trl"))
    )
    for ours, theirs in zip(found[::2], found[1::2], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
    assert done.stdout.count("│ trl ") == 3
