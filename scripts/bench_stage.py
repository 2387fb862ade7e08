"""What the benchmarks hand to a stage that they run without a pipeline around it.

python scripts/bench_ppo.py
"""

from pathlib import Path
from typing import Any


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
