"""What the benchmarks share: a child process as the pipeline starts its workers, and what a stage is handed.

python scripts/bench_ppo.py
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def in_child(
    what: str, script: str, *arguments: str, python: str = sys.executable, **environment: str
) -> dict[str, Any]:
    """Run one piece of a benchmark in a fresh process; the last line it prints is its answer."""
    from align.pipeline.launcher import KEEP_MEMORY

    ours = {**KEEP_MEMORY, **os.environ, **environment}
    done = subprocess.run([python, script, "--child", *arguments], env=ours, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{what} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def stage_io(name: str, output: Path, outputs: Path, **resources: Any) -> Any:
    """A StageIO on this CPU that writes below `output`, and no checkpoint."""
    from align.artifacts.store import ArtifactDir
    from align.config.resources import Hardware, StageResources
    from align.runtime.stage_io import RunSettings, StageIO

    machine = Hardware(name="cpu", accelerator="cpu", memory_gib=16)
    return StageIO(
        name=name,
        inputs={},
        output=ArtifactDir(output),
        outputs=outputs,
        resources=StageResources(**resources),
        settings=RunSettings(hardware=machine, save_every_minutes=None),
    )
