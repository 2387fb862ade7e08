"""The benchmark of data checks runs, and holds its results against slow references."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_small_run_agrees_with_the_slow_way(align_data: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/bench_data.py", "--rows", "2000", "--near", "500", "--compare",
         "--folder", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the slow way finds the same in 2,000 rows" in done.stdout
    assert "4 dropped: exact duplicate" in done.stdout
    told = json.loads(done.stdout.splitlines()[-1])
    assert all(step["memory_gib"] < 1 for step in told.values())
