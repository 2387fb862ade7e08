"""The oracle itself: the script gives the numbers on file (T1)."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.ppo.conftest import FOLDER, GOLDEN


def test_the_script_makes_the_numbers_on_file(tmp_path: Path) -> None:
    """T1: guards against numbers that were edited, or made by another script."""
    script = shutil.copy(FOLDER / "ppo_golden.py", tmp_path)
    subprocess.run([sys.executable, script], check=True, capture_output=True)
    made = json.loads((tmp_path / "ppo_golden.json").read_text())

    assert made.keys() == GOLDEN.keys()
    for name, group in GOLDEN.items():
        assert_close(made[name]["outputs"], group["outputs"], name)


def assert_close(found: object, expected: object, place: str) -> None:
    if isinstance(expected, dict):
        assert isinstance(found, dict) and found.keys() == expected.keys(), place
        for key, value in expected.items():
            assert_close(found[key], value, f"{place}.{key}")
    elif isinstance(expected, list):
        assert isinstance(found, list) and len(found) == len(expected), place
        for at, value in enumerate(expected):
            assert_close(found[at], value, f"{place}[{at}]")
    elif isinstance(expected, float):
        assert isinstance(found, float) and abs(found - expected) <= 1e-12, place
    else:
        assert found == expected, place
