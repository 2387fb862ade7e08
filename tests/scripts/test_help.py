"""Every script tells what it does at once: two seconds of work, nothing heavy imported.

Where a machine does everything slowly, it may take twice its usual share beside imports that it cannot do
without.
"""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path for path in (ROOT / "scripts").glob("*.py") if not path.name.startswith("bench_"))
COMPOSING = {"pipeline", "pretrain", "sft", "reward", "dpo", "evaluate", "sandbox", "fetch", "audit_data"}
CODE = """
import runpy, sys
sys.argv = [{script!r}, "--help"]
try:
    runpy.run_path({script!r}, run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
assert "torch" not in sys.modules, "torch was imported"
"""

IMPORTS = "import hydra, pydantic, rich.table"
USUAL_RATIO = 6  # seconds of --help over those of IMPORTS


def seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds_of_imports() -> float:
    before = seconds_of_children()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return seconds_of_children() - before


def test_there_are_scripts() -> None:
    assert {path.stem for path in SCRIPTS} >= COMPOSING | {"artifacts", "check_cards", "doctor"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_help_is_quick_and_useful(script: Path) -> None:
    before = seconds_of_children()
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(script=str(script))], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    spent = seconds_of_children() - before
    assert spent < 2 or spent < 2 * USUAL_RATIO * seconds_of_imports()
    if script.stem in COMPOSING:
        for word in ("run.dry_run=true", "--config-dir", "experiment: ", "pipeline: ", "hardware: "):
            assert word in done.stdout
    else:
        assert "--help" in done.stdout
