"""One warm child or many: the weights are the same bits."""

import hashlib
import subprocess
import sys
from pathlib import Path

from align.pipeline.job import read_job


def weights(artifact: Path) -> str:
    return hashlib.sha256((artifact / "model" / "model.safetensors").read_bytes()).hexdigest()


def test_a_stage_of_a_warm_child_repeats_bit_for_bit_in_a_child_of_its_own(
    finished: Path, tmp_path: Path
) -> None:
    built = (finished / "runs" / "chain" / "dpo").resolve()  # the third stage of its child, after two others
    assert len(read_job(built / "stage.json").stages) == 1
    command = [
        sys.executable,
        "-m",
        "align.pipeline.worker",
        str(built / "stage.json"),
        "--output",
        str(tmp_path / "again"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert weights(tmp_path / "again") == weights(built)


def test_a_finished_artifact_is_never_written_again(finished: Path) -> None:
    built = (finished / "runs" / "chain" / "sft").resolve()
    before = weights(built), sorted(built.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "align.pipeline.worker", str(built / "stage.json")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "is finished; name another folder with --output" in done.stderr
    assert (weights(built), sorted(built.rglob("*"))) == before
