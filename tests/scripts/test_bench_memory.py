"""The memory benchmark, on a tiny model: both systems run, share what they should, and are compared."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_both_systems_are_measured() -> None:
    command = [sys.executable, "scripts/bench_memory.py", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    peaks = {
        name: float(mib) for name, mib in re.findall(r"^(sft|ppo): (\d+) MiB", done.stdout, re.MULTILINE)
    }
    assert set(peaks) == {"sft", "ppo"} and all(peak > 0 for peak in peaks.values())
    assert "PPO takes" in done.stdout
