"""Every mistake comes out with its dotted path, what is wrong, and what to do."""

from collections.abc import Callable
from typing import Any

import pytest
from omegaconf import DictConfig

from align.config.compose import ConfigError, bind

Composed = Callable[..., DictConfig]


def told(composed: Composed, root_type: Any, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        bind(composed(*overrides), root_type)
    return str(caught.value).splitlines()


CASES = [
    ("stages.dpo.batch_siz=4", "stages.dpo.batch_siz: no such key; did you mean batch_size?"),
    (
        "stages.judge.zzz=4",
        "stages.judge.zzz: no such key; keys here: kind, checkpoints, suites, reward, note, low, high",
    ),
    ("corpus.pairs.sources.x.wieght=1", "corpus.pairs.sources.x.wieght: no such key; did you mean weight?"),
    ("resources.dpo.micro_bacth=1", "resources.dpo.micro_bacth: no such key; did you mean micro_batch?"),
    ("stages.dpo.batch_size=4.5", "stages.dpo.batch_size: should be a valid integer (got 4.5)"),
    ("stages.dpo.batch_size=0", "stages.dpo.batch_size: should be greater than 0 (got 0)"),
    ("stages.dpo.batch_size=true", "stages.dpo.batch_size: should be a valid integer (got True)"),
    ("~stages.dpo.batch_size", "stages.dpo.batch_size: required, but not set"),
    ("stages.dpo.batch_size=???", "stages.dpo.batch_size: required, but not set (its value is ???)"),
    ("stages.dpo.model=${nowhere.at_all}", "stages.dpo.model: Interpolation key 'nowhere.at_all' not found"),
    (
        "stages.dpo.model=${oc.env:THIS_IS_NOT_SET}",
        "stages.dpo.model: Environment variable 'THIS_IS_NOT_SET' not found",
    ),
    (
        "stages.dpo.precision=fp31",
        "stages.dpo.precision: should be 'fp32' or 'bf16' (got 'fp31'); did you mean fp32?",
    ),
    (
        "stages.dpo.kind=trian",
        "stages.dpo.kind: no such kind (got 'trian'; train, judge); did you mean train?",
    ),
    ("stages.dpo=5", "stages.dpo: should be a mapping (got 5)"),
    (
        "corpus.pairs.held_out=-1",
        "corpus.pairs.held_out: should be greater than or equal to 0, or should be greater than 0 (got -1)",
    ),
    ("experiment=phantom", "stages.dpp: no such stage in this pipeline (dpo, judge); did you mean dpo?"),
    (
        "resources.dp.micro_batch=1",
        "resources.dp: no such stage in this pipeline (default, dpo, judge); did you mean dpo?",
    ),
    (
        "run.only=jugde",
        "stages.jugde: no such stage in this pipeline (dpo, judge); did you mean judge?; "
        "another pipeline=... may have it",
    ),
    (
        "stages.dpo.data.max_rows=9",
        "stages.dpo.data.max_rows: this data is the corpus entry pairs; set corpus.pairs.max_rows instead",
    ),
    (
        "stages.judge.suites.ask.data={use: pair}",
        "stages.judge.suites.ask.data.use: no such corpus entry 'pair' (pairs, other); did you mean pairs?",
    ),
    (
        "stages.judge.suites.ask.data={use: other, held_out: 1}",
        "stages.judge.suites.ask.data.held_out: this data is the corpus entry other; "
        "set corpus.other.held_out instead",
    ),
    ("limits.rows=many", "limits.rows: should be a valid integer (got 'many')"),
    ("limits.steps=2.5", "limits.steps: should be a valid integer (got 2.5)"),
    ("hardware.precision=fp8", "hardware.precision: should be 'auto', 'fp32' or 'bf16' (got 'fp8')"),
    ("hardware=none", "hardware: should be a mapping (got 'none')"),
    (
        "stages.dpo.data.use=pair",
        "stages.dpo.data.use: no such corpus entry 'pair' (pairs, other); did you mean pairs?",
    ),
    ("stages.dpo.trainer.betta=1", "stages.dpo.trainer.betta: not a DPOConfig field; did you mean beta?"),
    (
        "stages.dpo.trainer.packing=true",
        "stages.dpo.trainer.packing: is a SFTConfig field, not a DPOConfig field",
    ),
    ("stages.dpo.trainer.seed=1", "stages.dpo.trainer.seed: set by the pipeline; set seed"),
    (
        "stages.dpo.trainer.ddp_timeout=9",
        "stages.dpo.trainer.ddp_timeout: a machine setting, not identity; "
        "set resources.dpo.trainer.ddp_timeout",
    ),
    (
        "stages.judge.reward={_target_:nowhere.Reward}",
        "stages.judge.reward: cannot import nowhere.Reward: No module named 'nowhere'",
    ),
    (
        "stages.judge.reward={_target_:calendar.TextCalendar,firstday:1}",
        "stages.judge.reward.firstday: calendar.TextCalendar has no such argument (firstweekday); "
        "did you mean firstweekday?",
    ),
]


@pytest.mark.parametrize("override, expected", CASES, ids=[override for override, _ in CASES])
def test_one_mistake_is_told_once(composed: Composed, root_type: Any, override: str, expected: str) -> None:
    assert told(composed, root_type, override) == [expected]


def test_all_mistakes_are_told_at_once(composed: Composed, root_type: Any) -> None:
    overrides = [override for override, _ in CASES if override.startswith("stages.dpo.trainer")]
    expected = [message for override, message in CASES if override.startswith("stages.dpo.trainer")]
    lines = told(
        composed, root_type, *overrides, "seed=x", "stages.judge.note=${nowhere}", "corpus.other.max_rows=0"
    )
    assert set(expected) < set(lines)
    assert {line.split(": ")[0] for line in lines if line not in expected} == {
        "seed",
        "stages.judge.note",
        "corpus.other.max_rows",
    }


def test_a_cross_check_names_the_fields_it_is_about(composed: Composed, root_type: Any) -> None:
    assert told(composed, root_type, "stages.judge.low=3") == [
        "stages.judge.low: is above high",
        "stages.judge.high: is below low",
    ]


def test_a_long_value_is_cut_and_a_mistake_in_a_corpus_is_not_echoed(
    composed: Composed, root_type: Any
) -> None:
    lines = told(composed, root_type, f"corpus.pairs.max_rows={'x' * 300}")
    assert len(lines) == 1
    assert lines[0].startswith("corpus.pairs.max_rows: should be a valid integer")
    assert len(lines[0]) < 200
