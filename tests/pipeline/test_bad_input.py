"""What a user can put right costs exit code 2 and one message; nothing is written."""

import json
import shutil
from pathlib import Path

import pytest

# words -> what the one message must say
REFUSED = {
    "unknown root key": (
        ("sed=1",),
        "sed: no such key; did you mean seed?",
    ),
    "unknown group option": (
        ("hardware=hal9000",),
        "Could not find 'hardware/hal9000'",
    ),
    "unknown stage": (
        ("stages.dop.batch_size=2",),
        "stages.dop: no such stage in this pipeline (pretrain, sft, dpo); did you mean dpo?",
    ),
    "unknown stage key": (
        ("stages.dpo.batchsize=2",),
        "stages.dpo.batchsize: no such key; did you mean batch_size?",
    ),
    "unknown trainer key": (
        ("stages.dpo.trainer.betta=1",),
        "stages.dpo.trainer.betta: not a DPOConfig field; did you mean beta?",
    ),
    "owned trainer key": (
        ("stages.dpo.trainer.output_dir=x",),
        "stages.dpo.trainer.output_dir: set by the pipeline",
    ),
    "machine trainer key": (
        ("stages.dpo.trainer.dataloader_num_workers=2",),
        "set resources.dpo.trainer.dataloader_num_workers",
    ),
    "machine key that is identity": (
        ("resources.dpo.trainer.beta=2",),
        "resources.dpo.trainer.beta: changes what is computed; set stages.dpo.trainer",
    ),
    "wrong type": (
        ("stages.sft.batch_size=many",),
        "stages.sft.batch_size: ",
    ),
    "several at once": (
        ("stages.sft.batch_size=-1", "stages.dpo.seed=x"),
        "stages.dpo.seed: ",
    ),
    "unknown reference": (
        ("stages.dpo.policy.path=stage:stf",),
        "stages.dpo.policy.path: no stage 'stf' in this pipeline (pretrain, sft, dpo); did you mean sft?",
    ),
    "circle": (
        ("stages.pretrain.data.use=text", "stages.sft.model.path=stage:dpo"),
        "a circle of references",
    ),
    "absent model folder": (
        ("stages.dpo.policy.path=/no/such/folder",),
        "stages.dpo.policy.path: ",
    ),
    "absent data file": (
        ("corpus.sft.sources.toy.path=/no/such/file.jsonl",),
        "/no/such/file.jsonl",
    ),
    "override of a corpus entry": (
        ("stages.sft.data.max_rows=3",),
        "corpus.sft.max_rows",
    ),
    "fresh of an unknown stage": (
        ("run.fresh=[spo]",),
        "run.fresh: no stage 'spo'",
    ),
    "one process for many devices": (
        ("hardware=8xh100", "launcher=inline"),
        "launcher=torchrun",
    ),
    "tracker that is not installed": (
        ("tracking=jsonl", "tracking.trackers=[swanlab]"),
        "tracking.trackers: swanlab is not installed; pip install swanlab",
    ),
    "several hosts": (
        ("hardware=2x8xh100", "launcher=torchrun"),
        "hardware.hosts: launcher=torchrun runs on one host (got 2); use hosts or slurm",
    ),
    "a host without a number": (
        ("hardware=2x8xh100", "launcher=hosts", "launcher.address=127.0.0.1"),
        "launcher.node_rank: required",
    ),
    "half of where a Slurm job's hosts meet": (
        ("hardware=2x8xh100", "launcher=slurm", "launcher.node_rank=0"),
        "launcher.node_rank: goes with address; the batch script sets both",
    ),
    "a host too many": (
        ("hardware=2x8xh100", "launcher=hosts", "launcher.address=127.0.0.1", "launcher.node_rank=2"),
        "launcher.node_rank: with 2 hosts they are 0 to 1",
    ),
    "single for many devices": (
        ("hardware=8xh100", "parallel=single"),
        "parallel: single is one process",
    ),
    "indivisible batch": (
        ("hardware=8xh100", "stages.sft.batch_size=12"),
        "stages.sft.batch_size: ",
    ),
    "a group without an option": (
        ("adapter@stages.dpo.adapter=null",),
        "a config group takes the name of one of its options",
    ),
    "unknown parallel of a stage": (
        ("resources.dpo.parallel=zero4",),
        "resources.dpo.parallel: no such option",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_option_is_refused_before_anything_starts(toy, tmp_path: Path, case: str) -> None:
    words, expected = REFUSED[case]
    done = toy.run(tmp_path / "outputs", *words)
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert not (tmp_path / "outputs" / "artifacts").exists() and not (tmp_path / "outputs" / "runs").exists()


def test_a_missing_upstream_artifact_is_named_with_the_two_ways_out(toy, tmp_path: Path) -> None:
    done = toy.run(tmp_path, script="sft")
    assert done.returncode == 2
    assert done.stderr.startswith("sft needs pretrain-")
    assert done.stderr.endswith(
        ", not built; run scripts/pretrain.py with the same options, or set stages.sft.model.path\n"
    )


def test_a_script_whose_stage_the_pipeline_lacks(toy, tmp_path: Path) -> None:
    done = toy.run(tmp_path, script="reward")
    assert done.returncode == 2
    assert done.stderr.startswith("stages.reward: no such stage in this pipeline (pretrain, sft, dpo)")


def test_a_bad_row_stops_the_run_before_the_first_stage_trains(toy, tmp_path: Path) -> None:
    data = Path(shutil.copytree(toy.data, tmp_path / "data"))
    rows = (data / "pairs.jsonl").read_text().splitlines()
    rows[2] = json.dumps({"prompt": "What?", "chosen": 7, "rejected": "no"})
    (data / "pairs.jsonl").write_text("\n".join(rows))
    done = toy.run(tmp_path / "outputs", f"paths.data={data}")
    assert done.returncode == 2, done.stderr
    assert f"{data / 'pairs.jsonl'}:3: " in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "outputs" / "artifacts").exists() and not (tmp_path / "outputs" / "runs").exists()


def test_check_alone_builds_nothing(toy, tmp_path: Path) -> None:
    done = toy.run(tmp_path, "run.check=true")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("checked, nothing built:\n")
    assert not (tmp_path / "artifacts").exists() and not (tmp_path / "runs").exists()
