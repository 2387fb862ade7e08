"""The process that composes, binds and plans never imports torch or what brings it.

When a wall moves, edit HEAVY (what must stay out) or LIGHT (modules a plan is made of).
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "accelerate", "deepspeed", "pyarrow"}
LIGHT = ("config", "artifacts", "sandbox", "stages", "pipeline")
ALONE = (
    "align.data.records", "align.data.spec", "align.data.source", "align.data.card", "align.models.spec",
    "align.rewards.source", "align.rewards.rules", "align.rewards.learned", "align.generation.decoding",
    "align.training.spec", "align.training.arguments", "align.evaluation.suite",
    "align.evaluation.statistics",
)  # fmt: skip
CHILDREN_ONLY = {"align.pipeline.worker"}  # it runs the stages


def modules() -> list[str]:
    files = [path for package in LIGHT for path in (ROOT / "align" / package).glob("*.py")]
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files if path.name != "__init__.py"
    ]
    return sorted({*names, *ALONE} - CHILDREN_ONLY)


def heavy_after(statements: str) -> set[str]:
    """What of HEAVY is loaded in a new process after these statements."""
    report = f"import sys; print('loaded:', *({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{statements}\n{report}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("loaded:")[2].split())


def test_the_light_modules_import_nothing_heavy() -> None:
    names = modules()
    assert len(names) > 30
    guilty = heavy_after("\n".join(f"import {name}" for name in names))
    if guilty:
        culprits = [name for name in names if heavy_after(f"import {name}")]
        pytest.fail(f"{', '.join(sorted(guilty))} loaded by importing {', '.join(culprits)}")


def test_the_check_sees_torch() -> None:
    assert "torch" in heavy_after("import torch")


def test_a_dry_run_imports_nothing_heavy(tmp_path: Path) -> None:
    """The whole parent's work: compose, bind, fingerprint, plan, print."""
    arguments = ["pipeline.py", "run.dry_run=true", f"paths.outputs={tmp_path / 'outputs'}"]
    statements = f"""
import runpy, sys
sys.argv = {arguments!r}
try:
    runpy.run_path("scripts/pipeline.py", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
"""
    assert heavy_after(statements) == set()
    assert not (tmp_path / "outputs" / "artifacts").exists()
