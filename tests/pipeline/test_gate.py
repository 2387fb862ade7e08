"""A reward model that is not good enough pays no policy: PPO does not start, and says by how much."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from align.runtime.spec import GateSpec

METRIC = "held_out/reward_model/accuracy"


def words(minimum: float, metric: str = METRIC) -> list[str]:
    gate = f"{{of: 'stage:reward', metric: {metric}, minimum: {minimum}}}"
    return [
        "pipeline=chain", "limits.steps=1", "run.only=ppo", "corpus.pairs.held_out=8",
        f"stages.ppo.require.judge={gate}",
    ]  # fmt: skip


def test_ppo_starts_only_behind_an_open_gate(toy, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    refused = toy.run(outputs, *words(1.5))
    assert refused.returncode == 2
    (line,) = [line for line in refused.stderr.splitlines() if "require.judge" in line]
    assert line.startswith(
        "stages.ppo.require.judge: ppo does not start: held_out/reward_model/accuracy of reward"
    )
    assert "is required" in line and "1.5" in line and "Traceback" not in refused.stderr
    (page,) = outputs.glob("runs/*/report.html")
    assert f"what was built: {page}\n" in refused.stdout
    text = page.read_text(encoding="utf-8")
    assert 'id="failure"' in text and "below: ppo did not start" in text
    built = {
        path.name.split("-")[0]
        for path in (outputs / "artifacts").iterdir()
        if (path / "lineage.json").exists()
    }
    assert {"sft", "reward"} <= built and "ppo" not in built

    unknown = toy.run(outputs, *words(0.0, "held_out/reward_model/acuracy"))
    assert unknown.returncode == 2
    assert "has not measured 'held_out/reward_model/acuracy'" in unknown.stderr
    assert f"did you mean {METRIC}?" in unknown.stderr

    passed = toy.run(outputs, *words(0.0))
    assert passed.returncode == 0, passed.stderr
    again = toy.run(outputs, *words(1.5), "run.dry_run=true")
    assert "ppo" in again.stdout and "would run" not in again.stdout, (
        "a gate is no part of what a stage makes"
    )


def test_a_gate_at_no_stage_is_told(toy, tmp_path: Path) -> None:
    gate = "stages.ppo.require.judge={of: 'stage:rewad', metric: x, minimum: 1}"
    done = toy.run(tmp_path / "outputs", "pipeline=chain", gate, "run.dry_run=true")
    assert done.returncode == 2
    assert "stages.ppo.require.judge.of: no stage 'rewad' in this pipeline" in done.stderr
    assert "did you mean reward?" in done.stderr
    with pytest.raises(ValidationError, match="names no stage; write stage:<name>"):
        TypeAdapter(GateSpec).validate_python({"of": "reward", "metric": "x", "minimum": 1.0})
