"""Every YAML file below conf/ composes into a run that binds."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from align.config.compose import bind
from align.pipeline.run import Run

CONF = Path(__file__).parents[2] / "conf"

# How one option of a group enters a run; a group that is not listed is chosen at the root.
ENTERS = {
    "adapter": "adapter@stages.sft.adapter={}",
    "data": "+data@corpus.sft.sources.extra={}",
    "reward": "+reward@stages.evaluate.rewards.extra={}",
    "stage": "+stage@stages.extra={}",
    "suite": "+suite@stages.evaluate.suites.extra={}",
}
# What an option is made for, where the defaults do not suit it.
GOES_WITH = {
    "corpus/hh": ["model=qwen3_0_6b"],  # no text to pretrain on
    "corpus/ultra": ["model=qwen3_0_6b"],
    "corpus/koalpaca": ["model=qwen3_0_6b", "pipeline=sft"],  # no preferences either
    "corpus/korean": ["pipeline=sft"],
    "stage/evaluate": ["~stages.evaluate", "stages.extra.suites={q: {data: {use: sft}}}"],
}
OPTIONS = sorted(
    (path.parent.relative_to(CONF).as_posix(), path.stem)
    for path in CONF.rglob("*.yaml")
    if path.parent != CONF and path.parent.name != "local"
)


def bound(*overrides: str) -> Run:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return bind(compose("align", list(overrides)), Run)


def test_all_groups_are_seen() -> None:
    assert len(OPTIONS) > 50
    assert {"experiment", "pipeline", "stage", "data", "corpus", "model", "hardware"} <= {
        group for group, _ in OPTIONS
    }


@pytest.mark.parametrize("group, option", OPTIONS, ids=["/".join(option) for option in OPTIONS])
def test_an_option_composes_and_binds(group: str, option: str) -> None:
    enters = ENTERS.get(group, f"{group}={{}}").format(option)
    assert bound(enters, *GOES_WITH.get(f"{group}/{option}", [])).stages


@pytest.mark.parametrize("hardware", [option for group, option in OPTIONS if group == "hardware"])
@pytest.mark.parametrize("experiment", [option for group, option in OPTIONS if group == "experiment"])
def test_every_experiment_runs_on_every_machine(experiment: str, hardware: str) -> None:
    assert bound(f"experiment={experiment}", f"hardware={hardware}").hardware.name == hardware


@pytest.mark.parametrize("pipeline", [option for group, option in OPTIONS if group == "pipeline"])
@pytest.mark.parametrize("model", [option for group, option in OPTIONS if group == "model"])
def test_every_pipeline_takes_every_model(pipeline: str, model: str) -> None:
    assert bound(f"pipeline={pipeline}", f"model={model}").stages
