"""Children: kept while the layout stays, ended with their parent, and told about when they die."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from align.config.resources import Hardware, StageResources
from align.data.spec import DataSpec, SourceSpec
from align.models.spec import ModelSpec
from align.pipeline.job import (
    Job,
    Outcome,
    StageJob,
    read_job,
    read_outcomes,
    record_job,
    write_job,
    write_outcome,
)
from align.pipeline.launcher import KEEP_MEMORY, Launcher, Layout, environment
from align.pipeline.memory import is_out_of_memory, memory_advice
from align.pipeline.stopping import StopSignals
from align.pipeline.worker import perform
from align.stages.sft import Sft
from align.stages.stage import RunSettings


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """An SFT stage whose data file does not exist."""
    source = SourceSpec(path=str(tmp_path / "absent.jsonl"), format="messages")
    stage = Sft(
        model=ModelSpec(path=str(tmp_path / "model")),
        data=DataSpec(sources={"toy": source}),
        precision="fp32",
        batch_size=4,
        seed=0,
        trainer={"max_steps": 1},
    )
    one = StageJob(
        name="sft",
        stage=stage,
        inputs={},
        output=tmp_path / "sft-0123456789ab",
        outputs=tmp_path,
        resources=StageResources(),
        settings=RunSettings(hardware=Hardware(name="cpu", accelerator="cpu", memory_gib=4)),
    )
    return Job(action="check", stages=(one,))


def test_a_job_survives_the_way_through_its_file(job: Job, tmp_path: Path) -> None:
    write_job(job, tmp_path / "job.json")
    assert read_job(tmp_path / "job.json") == job


def test_a_recorded_job_can_be_run_again_and_tells_no_credentials(job: Job, tmp_path: Path) -> None:
    (one,) = job.stages
    stage = replace(one.stage, trainer={"max_steps": 1, "lr_scheduler_kwargs": {"api_key": "hf_secret"}})
    record_job(replace(job, stages=(replace(one, stage=stage),)), tmp_path / "stage.json")
    assert "hf_secret" not in (tmp_path / "stage.json").read_text()
    again = read_job(tmp_path / "stage.json")
    assert again.stages[0].stage.trainer["lr_scheduler_kwargs"] == {"api_key": "***"}
    assert replace(again, stages=job.stages) == job


def test_what_every_rank_said_is_found_beside_its_job(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    assert read_outcomes(path, range(2)) == {}
    failed = Outcome(state="failed", messages=("why",), rank=1)
    write_outcome(failed, path)
    assert read_outcomes(path, range(2)) == {1: failed}
    write_outcome(Outcome(state="done"), path)
    assert read_outcomes(path, range(2)) == {0: Outcome(state="done"), 1: failed}
    assert read_outcomes(path, range(1)) == {0: Outcome(state="done")}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_check_refuses_a_machine_without_the_devices(job: Job, tmp_path: Path) -> None:
    (one,) = job.stages
    hardware = Hardware(name="8xh100", accelerator="cuda", devices=8, memory_gib=80)
    elsewhere = replace(one, settings=replace(one.settings, hardware=hardware))
    write_job(replace(job, stages=(elsewhere,)), tmp_path / "job.json")
    outcome = perform(tmp_path / "job.json")
    assert outcome.state == "refused"
    assert outcome.messages[0].startswith("hardware.devices: 8xh100 has 8, this host shows 0 CUDA devices")


def test_one_child_serves_consecutive_jobs_and_ends_with_the_launcher(job: Job) -> None:
    with Launcher("cpu", StopSignals()) as launcher:
        outcome = launcher.perform(job, Layout(), lambda: None)
        assert outcome.state == "refused"
        assert any("absent.jsonl" in line for line in outcome.messages)
        assert all(line.startswith("stages.sft.") for line in outcome.messages)
        child = launcher._child
        assert child is not None
        launcher.perform(job, Layout(), lambda: None)
        assert launcher._child is child
        pid = child.pid
    assert child.returncode == 2  # of its last job
    assert not Path(f"/proc/{pid}").exists()


def test_a_child_that_dies_is_a_failure_with_its_cause(job: Job) -> None:
    def kill() -> None:
        assert launcher._child is not None
        launcher._child.kill()

    with Launcher("cpu", StopSignals()) as launcher:
        outcome = launcher.perform(job, Layout(), kill)
    assert outcome.state == "starved"
    assert "signal 9" in outcome.messages[0] and "memory" in outcome.messages[0]


def test_the_environment_hides_the_gpu_from_a_cpu_run_and_telemetry_from_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    alone = environment("cpu", Layout())
    assert alone["CUDA_VISIBLE_DEVICES"] == "" and alone["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert "WORLD_SIZE" not in alone and "OMP_NUM_THREADS" not in alone
    assert (
        KEEP_MEMORY.items() <= alone.items() and not KEEP_MEMORY.keys() & environment("cuda", Layout()).keys()
    )
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    assert environment("cpu", Layout())["MALLOC_TRIM_THRESHOLD_"] == "1"
    cores = len(os.sched_getaffinity(0))
    assert environment("cpu", Layout(ranks=2, grouped=True))["OMP_NUM_THREADS"] == str(max(1, cores // 2))
    assert environment("cuda", Layout(grouped=True))["WORLD_SIZE"] == "1"
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "0")
    assert environment("cuda", Layout())["HF_HUB_DISABLE_TELEMETRY"] == "0"


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …"), True),
        (ValueError("some memory"), False),
    ],
)
def test_out_of_memory_is_recognised(problem: Exception, expected: bool) -> None:
    assert is_out_of_memory(problem) is expected


def test_the_advice_names_the_options() -> None:
    advice = memory_advice("dpo", "auto", 80)
    assert "80 GiB" in advice
    assert "resources.dpo.micro_batch" in advice and "(now auto)" in advice
    assert (
        "resources.dpo.activation_checkpointing=true" in advice and "resources.dpo.parallel=zero2" in advice
    )
