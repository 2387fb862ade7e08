"""The PPO benchmark runs at tiny sizes, without TRL, with one table at the end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_benchmark_measures_our_own_loop() -> None:
    command = [sys.executable, "scripts/bench_ppo.py", "--systems", "align", "--quick", "--threads", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "COLUMNS": "120"}
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[0])
    assert found["system"] == "align" and found["precision"] == "fp32"
    assert 1 <= found["response_tokens"] < 16, "some completions end before the limit"
    assert found["steps"] == 4, "2 epochs of 2 minibatches"
    phases = [found[name] for name in ("generate", "score", "read", "learn")]
    assert all(seconds > 0 for seconds in phases)
    assert sum(phases) <= found["seconds"] + 0.01
    table = [line.strip("│").split("│") for line in done.stdout.splitlines() if line.startswith("│")]
    cells = {row[0].strip(): row[1].strip() for row in table}
    assert float(cells["samples per second"]) > 0
    assert cells["response tokens"] == f"{found['response_tokens']:.3f}"
