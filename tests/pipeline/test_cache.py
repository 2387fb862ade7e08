"""What is there is not built again, and what has changed is."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from safetensors.numpy import load_file

PLAN_LINE = re.compile(r"^(\w+) +([a-z]+-[0-9a-f]{12}(?:\.\d+)?) +(cached|would run) ", re.MULTILINE)


def plan(output: str) -> dict[str, tuple[str, str]]:
    return {name: (artifact, state) for name, artifact, state in PLAN_LINE.findall(output)}


def test_the_chain_leaves_artifacts_links_and_a_record(finished: Path) -> None:
    folder = finished / "runs" / "chain"
    record = json.loads((folder / "run.json").read_text())
    assert list(record["stages"]) == ["pretrain", "sft", "dpo"]
    for name, stage in record["stages"].items():
        assert stage["status"] == "ran" and stage["seconds"] > 0
        artifact = (folder / name).resolve()
        assert artifact.name == stage["artifact"]
        assert load_file(artifact / "model" / "model.safetensors")
        assert json.loads((artifact / "lineage.json").read_text())["metrics"]
        assert json.loads((artifact / "status.json").read_text())["state"] == "complete"
    assert (
        (folder / "config.yaml").read_text().startswith("# model=toy corpus=toy pipeline=toy limits.steps=4")
    )


def test_a_second_run_is_cached_quick_and_starts_no_process(toy, outputs: Path) -> None:
    script, *words = toy.command(outputs)[1:]
    code = (
        "import resource, runpy, sys\n"
        f"sys.argv = {[script, *words]!r}\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 250 * 1024, 'a child loaded torch'\n"
        "assert 'torch' not in sys.modules\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 5
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        [name, "cached"] for name in ("pretrain", "sft", "dpo")
    ]
    assert (Path(lines[-2]) / "run.json").exists()
    assert Path(lines[-1]) == Path(lines[-2]) / "report.html"


def test_data_that_nobody_vouches_for_is_told_at_the_end_and_in_the_lineage(toy, outputs: Path) -> None:
    told = [line for line in toy.run(outputs, "run.name=again").stdout.splitlines() if "WARNING" in line]
    assert [line.partition(": WARNING: toy: no data card")[0] for line in told] == ["pretrain", "sft", "dpo"]
    lineage = json.loads((outputs / "runs" / "chain" / "dpo" / "lineage.json").read_text())
    assert lineage["data"]["loaded"]["sources"]["toy"]["card_check"] == "no card"
    log = (outputs / "runs" / "chain" / "dpo" / "log" / "rank-0.txt").read_text()
    assert "WARNING: toy: no data card" in log
    costs = json.loads((outputs / "runs" / "chain" / "dpo" / "languages.json").read_text())["languages"]
    assert list(costs) == ["en"] and f"language en: {costs['en']['rows']} rows looked at" in log


def test_a_changed_stage_runs_with_what_depends_on_it_and_nothing_else(toy, finished: Path) -> None:
    unchanged = plan(toy.run(finished, "run.dry_run=true").stdout)
    assert {state for _, state in unchanged.values()} == {"cached"}
    beta = plan(toy.run(finished, "run.dry_run=true", "stages.dpo.trainer.beta=0.3").stdout)
    assert [state for _, state in beta.values()] == ["cached", "cached", "would run"]
    rate = plan(toy.run(finished, "run.dry_run=true", "stages.sft.trainer.learning_rate=1e-3").stdout)
    assert [state for _, state in rate.values()] == ["cached", "would run", "would run"]


def test_fresh_builds_beside_the_old_artifact_and_what_depends_on_it(toy, finished: Path) -> None:
    planned = plan(toy.run(finished, "run.dry_run=true", "run.fresh=[sft]").stdout)
    assert planned["pretrain"][1] == "cached"
    assert planned["sft"][0].endswith(".2") and planned["sft"][1] == "would run"
    assert planned["dpo"][1] == "would run"


def test_only_a_stage_and_what_it_needs_is_planned(toy, finished: Path) -> None:
    assert list(plan(toy.run(finished, "run.dry_run=true", "run.only=sft").stdout)) == ["pretrain", "sft"]


def test_a_corpus_may_bring_an_evaluation_that_the_pipeline_lacks(toy, finished: Path) -> None:
    done = toy.run(finished, "run.dry_run=true", "+suite@stages.evaluate.suites.asked=hh_questions")
    assert list(plan(done.stdout)) == ["pretrain", "sft", "dpo"], done.stderr


def test_a_damaged_artifact_is_refused_with_the_remedy(toy, outputs: Path) -> None:
    weights = (outputs / "runs" / "chain" / "sft" / "model" / "model.safetensors").resolve()
    weights.write_bytes(weights.read_bytes()[:-1])
    done = toy.run(outputs)
    assert done.returncode == 2
    assert "stages.sft: sft-" in done.stderr and "run.fresh=[" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_input_with_other_bytes_is_refused_when_it_is_read(toy, outputs: Path) -> None:
    weights = (outputs / "runs" / "chain" / "sft" / "model" / "model.safetensors").resolve()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    done = toy.run(outputs, "stages.dpo.trainer.beta=0.3")
    assert done.returncode == 2
    assert "model/model.safetensors was changed since it was written" in done.stderr
    assert "Traceback" not in done.stderr


def test_publish_copies_the_last_trained_model(toy, outputs: Path, tmp_path: Path) -> None:
    target = tmp_path / "published"
    done = toy.run(outputs, f"run.publish={target}")
    assert done.returncode == 0, done.stderr
    source = (outputs / "runs" / "chain" / "dpo").resolve() / "model"
    published = {path.name: path.read_bytes() for path in target.iterdir()}
    assert source.parent.name in published.pop("README.md").decode()  # the card is not the artifact's
    assert published == {path.name: path.read_bytes() for path in source.iterdir()}
