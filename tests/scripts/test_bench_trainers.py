"""The benchmark runs on a slice: every task, here and through TRL, with one table at the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_benchmark_compares_both_on_a_slice(align_data: Path) -> None:
    command = [sys.executable, "scripts/bench_trainers.py", "--rows", "16", "--threads", "1"]
    done = subprocess.run(
        [*command, "--systems", "align,trl"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "ALIGN_DATA": str(align_data), "COLUMNS": "120"},
    )

    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in table]
    assert [(row[0], row[1]) for row in cells] == [
        (task, system) for task in ("sft", "reward", "dpo") for system in ("align", "trl")
    ]
    assert all(abs(float(row[-1].strip("%+"))) < 1 for row in cells)
