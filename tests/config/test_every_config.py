"""Every YAML file below conf/ composes into a run that binds."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from align.config.compose import bind
from align.pipeline.run import Run

CONF = Path(__file__).parents[2] / "conf"

# Groups whose options enter a run side by side, each under its own name; of every other group a run has one.
TOGETHER = {
    "data": "+data@corpus.sft.sources.the_{0}={0}",
    "judge": "+judge@stages.evaluate.judges.the_{0}={0}",
    "judge_set": "+judge_set@stages.evaluate.judge_sets.the_{0}={0}",
    "reward": "+reward@stages.evaluate.rewards.the_{0}={0}",
    "stage": "+stage@stages.the_{0}={0}",
    "suite": "+suite@stages.evaluate.suites.the_{0}={0}",
}
ENTERS = {
    "tax": "tax@stages.evaluate.tax={}",
    "adapter": "adapter@stages.sft.adapter={}",
    "decoding": "decoding@stages.evaluate.decoding={}",
}  # where it is not at the root
# What an option is made for, where the defaults do not suit it.
GOES_WITH = {
    "corpus/hh": ["model=qwen3_0_6b"],  # no text to pretrain on
    "corpus/hh_parts": ["model=qwen3_0_6b"],
    "corpus/ultra": ["model=qwen3_0_6b"],
    "corpus/koalpaca": ["model=qwen3_0_6b", "pipeline=sft"],  # no preferences either
    "data/sandbox": [
        "corpus.sft.sources.the_sandbox.path=sft.jsonl",
        "corpus.sft.sources.the_sandbox.format=messages",
    ],
    "hardware/2x8xh100": [
        "launcher=hosts",
        "launcher.node_rank=1",
        "launcher.address=n0",
        "stages.pretrain.batch_size=16",
    ],
    "launcher/hosts": ["launcher.node_rank=0", "launcher.address=10.77.0.1"],
    "parallel/zero3_nvme": [  # otherwise in an environment variable, which a test cannot count on
        f"parallel.deepspeed.zero_optimization.offload_{what}.nvme_path=/drive"
        for what in ("optimizer", "param")
    ],
    "judge/endpoint": ["stages.evaluate.judges.the_endpoint.source.model=my/judge"],
    "judge/ballots": ["stages.evaluate.judges.the_ballots.source.path=votes.jsonl"],
    "reward/ensemble": ["stages.evaluate.rewards.the_ensemble.sources.second.model=my/reward"],
    "stage/evaluate": ["stages.the_evaluate.suites={questions: {data: {use: sft}}}"],
    "suite/held_out_prompts": ["corpus.prompts.held_out=10"],
}
OPTIONS = sorted(
    (path.parent.relative_to(CONF).as_posix(), path.stem)
    for path in CONF.rglob("*.yaml")
    if path.parent != CONF and path.parent.name != "local"
)
ALONE = [(group, option) for group, option in OPTIONS if group not in TOGETHER]


def bound(*overrides: str) -> Run:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return bind(compose("align", list(overrides)), Run)


def options(group: str) -> list[str]:
    return [option for other, option in OPTIONS if other == group]


def test_all_groups_are_seen() -> None:
    assert len(OPTIONS) > 80
    folders = {path.name for path in CONF.iterdir() if path.is_dir()} - {"local"}
    assert {group for group, _ in OPTIONS} == folders
    assert len(folders) > 12


@pytest.mark.parametrize("group", TOGETHER)
def test_a_group_composes_and_binds(group: str) -> None:
    """All its options at once; an error names the option, for that is what its place is called."""
    assert len(options(group)) > 1
    more = [word for option in options(group) for word in GOES_WITH.get(f"{group}/{option}", [])]
    words = [TOGETHER[group].format(option) for option in options(group)]
    assert bound(*words, *more).stages


@pytest.mark.parametrize("group, option", ALONE, ids=["/".join(option) for option in ALONE])
def test_an_option_composes_and_binds(group: str, option: str) -> None:
    enters = ENTERS.get(group, f"{group}={{}}").format(option)
    assert bound(enters, *GOES_WITH.get(f"{group}/{option}", [])).stages


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_runs_on_a_large_machine(experiment: str) -> None:
    assert bound(f"experiment={experiment}", "hardware=8xh100").devices == 8
