"""Binding: what a composed config becomes, and what is filled in on the way."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from align.config.compose import ConfigError, as_yaml, bind

Composed = Callable[..., DictConfig]


def test_a_config_becomes_frozen_types(composed: Composed, root_type: Any) -> None:
    run = bind(composed(), root_type)
    assert type(run) is root_type
    assert run.stages["dpo"].batch_size == 8
    assert run.stages["judge"].checkpoints == {"after": "stage:dpo"}
    with pytest.raises(FrozenInstanceError):
        run.seed = 1


def test_binding_changes_nothing_in_the_config(composed: Composed, root_type: Any) -> None:
    cfg = composed("limits.steps=3", "limits.rows=4")
    before = copy.deepcopy(OmegaConf.to_container(cfg, resolve=False))
    bind(cfg, root_type, only="dpo")
    assert OmegaConf.to_container(cfg, resolve=False) == before


def test_any_field_can_be_set_without_a_plus(composed: Composed, root_type: Any) -> None:
    run = bind(
        composed(
            "stages.dpo.trainer.max_length=64", "resources.dpo.micro_batch=2", "corpus.pairs.held_out=5"
        ),
        root_type,
    )
    assert run.stages["dpo"].trainer["max_length"] == 64
    assert run.resources["dpo"].micro_batch == 2
    assert run.stages["dpo"].data.held_out == 5


def test_hydra_refuses_an_unknown_root_key(composed: Composed) -> None:
    with pytest.raises(HydraException, match="sed"):
        composed("sed=1")


def test_a_stage_gets_its_corpus_entry(composed: Composed, root_type: Any) -> None:
    run = bind(composed("corpus.pairs.max_rows=7"), root_type)
    assert run.stages["dpo"].data == run.corpus["pairs"]
    assert run.stages["dpo"].data.max_rows == 7


def test_the_corpus_is_used_at_any_depth(composed: Composed, root_type: Any) -> None:
    cfg = composed("stages.judge.suites.ask.data={use: other}", "limits.rows=9")
    run = bind(cfg, root_type)
    assert run.stages["judge"].suites["ask"].data == run.corpus["other"]
    assert run.stages["judge"].suites["ask"].max_prompts == run.corpus["other"].max_rows == 9
    assert set(bind(cfg, root_type, only="judge").corpus) == {"pairs", "other"}


def test_data_in_place_of_the_corpus_is_limited_too(composed: Composed, root_type: Any) -> None:
    data = "stages.judge.suites.ask.data={sources: {z: {path: z.jsonl}}}"
    run = bind(composed(data, "limits.rows=9"), root_type)
    assert run.stages["judge"].suites["ask"].data.max_rows == 9
    assert set(bind(composed(data), root_type, only="dpo").corpus) == {"pairs"}


@pytest.mark.parametrize("own, limit, expected", [(500, 9, 9), (5, 9, 5), ("null", 9, 9)])
def test_rows_are_limited_by_the_smaller_number(
    composed: Composed, root_type: Any, own: Any, limit: int, expected: int
) -> None:
    run = bind(composed(f"corpus.pairs.max_rows={own}", f"limits.rows={limit}"), root_type)
    assert run.stages["dpo"].data.max_rows == expected
    assert run.corpus["other"].max_rows == limit


def test_steps_are_limited_where_there_is_a_trainer(composed: Composed, root_type: Any) -> None:
    run = bind(composed("limits.steps=3", "~stages.dpo.trainer"), root_type)
    assert run.stages["dpo"].trainer == {"max_steps": 3}


@pytest.mark.parametrize("hardware, expected", [("cuda", "bf16"), ("cpu", None)])
def test_precision_is_resolved_by_the_machine(
    composed: Composed, root_type: Any, hardware: str, expected: str | None
) -> None:
    run = bind(composed(f"hardware.accelerator={hardware}"), root_type)
    assert run.stages["dpo"].precision in ([expected] if expected else ["bf16", "fp32"])
    told = bind(composed(f"hardware.accelerator={hardware}", "hardware.precision=fp32"), root_type)
    assert told.stages["dpo"].precision == "fp32"
    chosen = bind(composed("stages.dpo.precision=bf16", "hardware.precision=fp32"), root_type)
    assert chosen.stages["dpo"].precision == "bf16"


def test_validated_values_are_passed_on(composed: Composed, root_type: Any) -> None:
    trainer = bind(composed("stages.dpo.trainer.num_train_epochs=2"), root_type).stages["dpo"].trainer
    assert isinstance(trainer["num_train_epochs"], float)


def test_only_keeps_a_stage_and_its_ancestors(composed: Composed, root_type: Any) -> None:
    assert set(bind(composed("run.only=dpo"), root_type).stages) == {"dpo"}
    assert set(bind(composed("run.only=judge"), root_type).stages) == {"dpo", "judge"}
    assert set(bind(composed(), root_type, only="dpo").stages) == {"dpo"}
    assert bind(composed(), root_type, only="dpo").run.only == "dpo"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "stages.judge.hgh=1",
        "stages.judge.note=${nowhere}",
        "stages.judge.note=???",
        "corpus.other.max_rows=-1",
        "+resources.judge.micro_batch=none",
    ],
)
def test_an_error_elsewhere_does_not_stop_only(composed: Composed, root_type: Any, elsewhere: str) -> None:
    with pytest.raises(ConfigError):
        bind(composed(elsewhere), root_type)
    assert set(bind(composed(elsewhere, "run.only=dpo"), root_type).stages) == {"dpo"}


def test_the_saved_yaml_composes_again_and_hides_secrets(composed: Composed) -> None:
    cfg = composed("+stages.judge.hub_token=abc", "+stages.judge.eos_token=end", "stages.judge.low=${seed}")
    saved: Mapping[str, Any] = yaml.safe_load(as_yaml(cfg))
    assert saved["stages"]["judge"]["hub_token"] == "***"
    assert saved["stages"]["judge"]["eos_token"] == "end"
    assert saved["stages"]["judge"]["low"] == "${seed}"
    assert cfg.stages.judge.hub_token == "abc"
