"""What a stage will take is what it took before, scaled by its steps."""

import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from align.artifacts.store import Store
from align.config.compose import bind
from align.pipeline.forecast import forecast
from align.pipeline.plan import make_plan
from align.pipeline.run import Run

CONF = str(Path(__file__).parents[2] / "conf")


def test_the_newest_of_the_same_name_on_the_same_hardware_tells(tmp_path: Path) -> None:
    with initialize_config_dir(CONF, version_base="1.3"):
        run = bind(compose("align", overrides=["experiment=quickstart", f"paths.outputs={tmp_path}"]), Run)
    store = Store(tmp_path)

    def built(number: int, hardware: str, seconds: float, steps: int, ended: str) -> None:
        lock = store.acquire(store.artifact("sft", f"{number:012x}"))
        assert lock is not None
        spec = {"trainer": {"max_steps": steps}}
        told = {"kind": "sft", "stage": "sft", "hardware": {"name": hardware}, "spec": spec, "parents": {}}
        store.commit(lock, {**told, "seconds": seconds, "ended": ended})

    built(1, "cpu", 999.0, 250, "2026-01-01")
    built(2, "cpu", 20.0, 125, "2026-01-03")
    built(3, "8xh100", 1.0, 250, "2026-01-04")
    damaged = store.artifact("sft", f"{2:012x}").path.with_name("sft-00000000000a")
    damaged.mkdir()
    (damaged / "lineage.json").write_text(json.dumps({"kind": "sft"}))
    found = forecast(store, make_plan(run, store), "cpu")
    assert found["sft"] == pytest.approx(40.0)  # 250 steps now
    assert found["dpo"] is None and set(found) == set(run.stages)
