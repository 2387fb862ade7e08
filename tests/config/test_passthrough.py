"""The field tables read from source agree with the classes, and refuse what the classes would swallow."""

import dataclasses
import inspect
import subprocess
import sys
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from importlib import import_module
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import TypeAdapter

from align.config.passthrough import (
    BOUNDS,
    CHOICES,
    TRAINERS,
    checked_fields,
    defaults_digest,
    field_table,
    problems,
    validated,
)
from align.config.upstream import Field

TARGETS = (*TRAINERS, "peft.LoraConfig")


@cache
def real(target: str) -> Any:
    package, _, name = target.rpartition(".")
    return getattr(import_module(package), name)


def as_yaml_would_have_it(hint: Any) -> Any:
    """A real hint with enumerations as literals and other classes as mappings, found another way."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        return Literal[tuple(member.value for member in hint.__members__.values())]
    if dataclasses.is_dataclass(hint):
        return dict[str, Any]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        members = [as_yaml_would_have_it(item) for item in arguments]
        if any(isinstance(item, type) and issubclass(item, Enum) for item in arguments):
            members = [item for item in members if item is not str]
        return Union[tuple(members)]  # noqa: UP007 (members known only here)
    if origin is list:
        return list[as_yaml_would_have_it(arguments[0])]
    return hint


@pytest.mark.parametrize("target", TARGETS)
def test_the_table_is_the_class(target: str) -> None:
    cls, table = real(target), field_table(target)
    fields = {item.name: item for item in dataclasses.fields(cls) if item.init}
    hints = get_type_hints(cls)
    assert len(fields) > 40
    assert list(table) == list(fields)
    for name, item in fields.items():
        assert table[name].hint == as_yaml_would_have_it(hints[name]), name
        choices = item.metadata.get("choices")
        if isinstance(choices, list | tuple):
            assert table[name].choices == tuple(choices), name


@pytest.mark.parametrize("target", TARGETS)
def test_the_defaults_are_the_class_defaults(target: str) -> None:
    compared = 0
    for item in dataclasses.fields(real(target)):
        text = field_table(target)[item.name].default
        if item.default is not dataclasses.MISSING:
            assert item.default in [eval(part) for part in text.split(" | ")], item.name
            compared += 1
        elif item.default_factory is not dataclasses.MISSING:
            assert text.endswith("()"), item.name
    assert compared > 30


def test_every_default_of_a_trainer_passes_its_own_check() -> None:
    for target in TRAINERS:
        table = field_table(target)
        given = {
            item.name: item.default
            for item in dataclasses.fields(real(target))
            if item.default is not dataclasses.MISSING and not isinstance(item.default, Enum)
        }
        assert problems(given, table, owned={}, machine=set(), target=target) == []


def test_nothing_heavy_is_imported() -> None:
    script = (
        "import sys, time; from align.config.passthrough import field_table; start = time.perf_counter();"
        f"[field_table(name) for name in {TRAINERS!r}];"
        "heavy = {'torch', 'trl', 'transformers', 'peft'} & set(sys.modules);"
        "print(time.perf_counter() - start, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, modules = done.stdout.split(maxsplit=1)
    assert modules.strip() == "[]"
    assert float(seconds) < 1.0  # 0.12 s on an idle machine


@pytest.mark.parametrize("target", list(CHOICES))
def test_our_choices_stand_in_the_trainer_that_reads_them(target: str) -> None:
    source = inspect.getsource(import_module(real(target).__module__.replace("_config", "_trainer")))
    for name, choices in CHOICES[target].items():
        assert name in field_table(target)
        for choice in choices:
            assert f'"{choice}"' in source, (name, choice)


def test_every_bound_is_about_a_field() -> None:
    known = {name for target in TARGETS for name in field_table(target)}
    assert set(BOUNDS) <= known


REFUSED = [
    ("trl.SFTConfig", "packing", "no", "should be a valid boolean (got 'no')"),
    ("trl.SFTConfig", "packing", 1, "should be a valid boolean (got 1)"),
    ("trl.SFTConfig", "max_steps", 2.5, "should be a valid integer (got 2.5)"),
    ("trl.SFTConfig", "max_steps", True, "should be a valid integer (got True)"),
    ("trl.SFTConfig", "learning_rate", "1e-5", "should be a valid number (got '1e-5')"),
    ("trl.SFTConfig", "learning_rate", True, "should be a valid number (got True)"),
    ("trl.SFTConfig", "max_length", "x", "should be a valid integer (got 'x')"),
    ("trl.SFTConfig", "max_length", -5, "should be greater than 0 (got -5)"),
    ("trl.SFTConfig", "save_strategy", "zzz", "should be one of no, steps, epoch, best (got 'zzz')"),
    ("trl.SFTConfig", "lr_scheduler_type", "cosin", "did you mean cosine?"),
    ("trl.SFTConfig", "optim", "adamw_tork", "did you mean adamw_torch?"),
    ("trl.SFTConfig", "loss_type", "ipo", "should be one of nll, dft (got 'ipo')"),
    ("trl.DPOConfig", "loss_type", ["ipo", "higne"], "did you mean hinge?"),
    ("trl.DPOConfig", "loss_type", "ipo", "should be a valid list (got 'ipo')"),
    ("trl.DPOConfig", "beta", 0, "should be greater than 0 (got 0)"),
    ("trl.DPOConfig", "label_smoothing", 0.5, "should be less than 0.5 (got 0.5)"),
    ("trl.DPOConfig", "f_divergence_type", "kl", "reverse_kl, forward_kl"),
    ("trl.DPOConfig", "truncation_mode", "keep_middle", "should be one of keep_end, keep_start"),
    ("trl.DPOConfig", "betta", 1, "not a DPOConfig field; did you mean beta?"),
    ("trl.DPOConfig", "packing", False, "is a SFTConfig field, not a DPOConfig field"),
    ("trl.RewardConfig", "beta", 0.1, "is a DPOConfig field, not a RewardConfig field"),
    ("trl.RewardConfig", "bf16", True, "set by the pipeline; set precision"),
    ("trl.RewardConfig", "ddp_timeout", 9, "set resources.<stage>.trainer.ddp_timeout"),
]


@pytest.mark.parametrize("target, key, value, expected", REFUSED)
def test_bad_values_are_refused(target: str, key: str, value: Any, expected: str) -> None:
    found = problems(
        {key: value},
        field_table(target),
        owned={"bf16": "set precision"},
        machine={"ddp_timeout"},
        target=target,
    )
    assert len(found) == 1
    assert found[0].startswith(f"{key}: ")
    assert expected in found[0]


def test_good_values_pass_and_come_back_typed() -> None:
    given = {"learning_rate": 1, "max_length": None, "packing": True, "optim": "adamw_torch", "debug": ""}
    table = field_table("trl.SFTConfig")
    assert problems(given, table, owned={}, machine=set(), target="trl.SFTConfig") == []
    passed = validated(given, table)
    assert passed == given
    assert isinstance(passed["learning_rate"], float)


def test_the_annotation_lists_all_problems_of_a_mapping() -> None:
    from typing import Annotated

    annotated = Annotated[Mapping[str, Any], checked_fields("trl.DPOConfig", owned={}, machine=set())]
    with pytest.raises(ValueError, match=r"(?s)betta: .*packing: .*beta: "):
        TypeAdapter(annotated).validate_python({"betta": 1, "packing": True, "beta": "x"})


def test_the_defaults_digest_follows_the_defaults_asked_for() -> None:
    table = field_table("trl.DPOConfig")
    changed = {**table, "beta": Field(float, "0.2")}
    rest = [name for name in table if name != "beta"]
    assert defaults_digest(table, list(table)) == defaults_digest(table, reversed(list(table)))
    assert defaults_digest(table, list(table)) != defaults_digest(changed, list(table))
    assert defaults_digest(table, rest) == defaults_digest(changed, rest)


def test_an_unknown_package_or_class_is_named() -> None:
    with pytest.raises(LookupError, match="nopackage is not installed"):
        field_table("nopackage.Config")
    with pytest.raises(LookupError, match="trl has no class NoConfig"):
        field_table("trl.NoConfig")
