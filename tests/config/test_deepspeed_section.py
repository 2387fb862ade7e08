"""What a section of DeepSpeed's may hold is told at composition; its tables are the installed one's."""

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from align.config.compose import ConfigError, bind
from align.config.deepspeed_section import OFFLOADS, OWNED, PASSED, ZERO, nvme_paths
from align.pipeline.run import Run

CONF = Path(__file__).parents[2] / "conf"
ZERO_PATH = "parallel.deepspeed.zero_optimization"


def bound(*overrides: str) -> Run:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return bind(compose("align", ["pipeline=sft", *overrides]), Run)


REFUSED = [
    (
        "parallel.deepspeed.zero_optimisation={stage: 2}",
        "parallel.deepspeed.zero_optimisation: not a key of DeepSpeed's that the pipeline passes on; "
        "did you mean zero_optimization?",
    ),
    (f"{ZERO_PATH}.stage=4", f"{ZERO_PATH}.stage: should be 0, 1, 2 or 3 (got 4)"),
    (f"{ZERO_PATH}.stage=true", f"{ZERO_PATH}.stage: should be 0, 1, 2 or 3 (got True)"),
    (f"{ZERO_PATH}=3", f"{ZERO_PATH}: should be a mapping (got 3)"),
    (
        f"{ZERO_PATH}.offload_optimiser={{device: cpu}}",
        f"{ZERO_PATH}.offload_optimiser: not a key of DeepSpeed's; did you mean offload_optimizer?",
    ),
    (
        f"{ZERO_PATH}.offload_optimizer={{device: gpu}}",
        f"{ZERO_PATH}.offload_optimizer.device: should be one of none, cpu, nvme (got 'gpu'); "
        "did you mean cpu?",
    ),
    (
        f"{ZERO_PATH}.offload_param={{device: cpu}}",
        f"{ZERO_PATH}.offload_param: needs zero_optimization.stage 3 (it is 2)",
    ),
    (
        "parallel.deepspeed.optimizer={type: Adam}",
        "parallel.deepspeed.optimizer: set by the pipeline; set trainer.optim and trainer.learning_rate, or "
        "PPO's policy_optimizer and value_optimizer",
    ),
    (
        "parallel.deepspeed.fp16={enabled: true}",
        "parallel.deepspeed.fp16: set by the pipeline; set stages.<name>.precision: fp32 | bf16",
    ),
    (
        "parallel.deepspeed.bf16.enabled=true",
        "parallel.deepspeed.bf16: set by the pipeline; write {enabled: auto} and set "
        "stages.<name>.precision: fp32 | bf16",
    ),
    (
        "parallel.deepspeed.gradient_clipping=1.0",
        "parallel.deepspeed.gradient_clipping: set by the pipeline; leave it auto and set "
        "trainer.max_grad_norm, or max_grad_norm of PPO's policy_optimizer and value_optimizer",
    ),
    (
        "parallel.deepspeed.train_batch_size=0",
        "parallel.deepspeed.train_batch_size: should be auto or a positive number (got 0)",
    ),
]


@pytest.mark.parametrize("override, expected", REFUSED, ids=[override for override, _ in REFUSED])
def test_what_cannot_be_meant_is_refused(override: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bound("parallel=zero2", f"++{override}")
    assert str(caught.value).splitlines() == [expected]


def test_batch_sizes_may_agree_with_the_stage_and_not_contradict_it() -> None:
    sizes = ["stages.sft.batch_size=8", "resources.default.micro_batch=2", "model=qwen3_0_6b"]
    section = ["train_batch_size=8", "train_micro_batch_size_per_gpu=2", "gradient_accumulation_steps=4"]
    words = [f"parallel.deepspeed.{word}" for word in section]
    assert bound("parallel=zero2", *sizes, *words).devices == 1
    with pytest.raises(ConfigError) as caught:
        bound("parallel=zero2", *sizes, *words, "stages.sft.batch_size=16")
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "parallel.deepspeed.train_batch_size",
        "parallel.deepspeed.gradient_accumulation_steps",
    ]
    assert "8 contradicts the 16 of stages.sft" in lines[0]


def test_a_stage_of_its_own_section_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^resources\.sft\.parallel\.deepspeed\.amp: set by the pipeline"):
        bound("+resources.sft.parallel={name: mine, deepspeed: {amp: {enabled: true}}}")


def test_a_drive_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALIGN_NVME", raising=False)
    with pytest.raises(ConfigError, match="Environment variable 'ALIGN_NVME' not found"):
        bound("parallel=zero3_nvme")
    with pytest.raises(ConfigError, match="Environment variable 'ALIGN_NVME' not found"):
        bound("+resources.sft.parallel=zero3_nvme")
    monkeypatch.setenv("ALIGN_NVME", "/drive")
    section = bound("parallel=zero3_nvme").parallel.deepspeed
    assert section is not None and set(nvme_paths(section).values()) == {"/drive"}


def test_a_drive_that_cannot_be_used_is_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from align.runtime import offload

    monkeypatch.setenv("ALIGN_NVME", str(tmp_path / "nowhere"))
    monkeypatch.setattr(offload, "_can_build_async_io", lambda: False)
    found = [*offload.offload_problems(bound("parallel=zero3_nvme").parallel)]
    assert [line.split(":")[0].rpartition(".")[2] for line in found] == [
        *("nvme_path", "nvme_path", "zero_optimization")
    ]
    assert "set ALIGN_NVME" in found[0] and "install libaio" in found[2]
    assert [*offload.offload_problems(bound("parallel=zero3_offload").parallel)] == []


def test_the_tables_are_those_of_the_installed_deepspeed() -> None:
    """An upgrade that adds a key fails here until the key is in one of the lists."""
    import deepspeed
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig
    from deepspeed.runtime.zero.offload_config import (
        DeepSpeedZeroOffloadOptimizerConfig,
        DeepSpeedZeroOffloadParamConfig,
    )

    fields = {field.alias or name for name, field in DeepSpeedZeroConfig.model_fields.items()}
    assert fields >= ZERO
    # Deprecated, or of optimisers and hardware that the pipeline does not have.
    left_out = {
        *("cpu_offload", "cpu_offload_param", "cpu_offload_use_pin_memory", "compute_grad_norm", "zenflow"),
        *("stage3_gather_fp16_weights_on_model_save", "enable_sanity_checks"),
        "save_muon_momentum_buffer_in_memory",
    }
    assert fields - ZERO == left_out
    for name, model in (
        ("offload_optimizer", DeepSpeedZeroOffloadOptimizerConfig),
        ("offload_param", DeepSpeedZeroOffloadParamConfig),
    ):
        assert set(model.model_fields) - {"super_offload", "cpuadam_cores_perc"} == set(OFFLOADS[name])
    source = "".join(path.read_text() for path in Path(deepspeed.__file__).parent.rglob("*.py"))
    assert not [key for key in PASSED | set(OWNED) if not re.search(rf"[\"']{key}[\"']|\b{key}:", source)]
