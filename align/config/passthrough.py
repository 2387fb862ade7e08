"""Passthrough: checks a mapping against a dataclass we do not own, field by field, without importing it.

TRL itself checks nothing: `packing: "no"` is accepted, and true. So every value is checked against the
installed class' own type, strictly, then against choices and bounds that upstream types leave open; and the
checked value is what is passed on.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Set
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic import Field as Bounds

from align.config.problem import shown
from align.config.schema import members
from align.config.suggest import did_you_mean
from align.config.upstream import Field, field_table

__all__ = ["Field", "checked_fields", "defaults_digest", "field_table", "problems", "validated"]

TRAINERS = ("trl.SFTConfig", "trl.RewardConfig", "trl.DPOConfig")

# Upstream types these as any text. Source: the trainers' own `raise ValueError` lists (trl 1.16).
CHOICES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "trl.SFTConfig": {"loss_type": ("nll", "dft")},
    "trl.DPOConfig": {
        "loss_type": (
            "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot",
            "aot_unpaired", "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
        ),
        "f_divergence_type": ("reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"),
    },
}  # fmt: skip

# Upstream types these as any number.
BOUNDS: Mapping[str, Any] = {
    "adam_beta1": Bounds(ge=0, lt=1),
    "adam_beta2": Bounds(ge=0, lt=1),
    "adam_epsilon": Bounds(gt=0),
    "beta": Bounds(gt=0),
    "center_rewards_coefficient": Bounds(ge=0),
    "dataset_num_proc": Bounds(gt=0),
    "discopop_tau": Bounds(gt=0),
    "eval_steps": Bounds(gt=0),
    "label_smoothing": Bounds(ge=0, lt=0.5),
    "label_smoothing_factor": Bounds(ge=0, lt=1),
    "ld_alpha": Bounds(ge=0, le=1),
    "learning_rate": Bounds(ge=0),
    "lora_alpha": Bounds(gt=0),
    "lora_dropout": Bounds(ge=0, lt=1),
    "max_grad_norm": Bounds(ge=0),
    "max_length": Bounds(gt=0),
    "max_steps": Bounds(ge=-1),
    "neftune_noise_alpha": Bounds(gt=0),
    "num_train_epochs": Bounds(gt=0),
    "pad_to_multiple_of": Bounds(gt=0),
    "precompute_ref_batch_size": Bounds(gt=0),
    "r": Bounds(gt=0),
    "ref_model_mixup_alpha": Bounds(ge=0, le=1),
    "ref_model_sync_steps": Bounds(gt=0),
    "warmup_steps": Bounds(ge=0),
    "weight_decay": Bounds(ge=0),
}


def checked_fields(target: str, *, owned: Mapping[str, str], machine: Set[str]) -> AfterValidator:
    """An annotation for a stage's `trainer`: refuses what `problems` finds, keeps the checked values."""

    def check(given: Mapping[str, Any]) -> Mapping[str, Any]:
        table = field_table(target)
        if found := problems(given, table, owned=owned, machine=machine, target=target):
            raise ValueError("\n".join(found))
        return validated(given, table)

    return AfterValidator(check)


def problems(
    given: Mapping[str, Any],
    table: Mapping[str, Field],
    *,
    owned: Mapping[str, str],
    machine: Set[str],
    target: str,
) -> list[str]:
    """What is wrong with a mapping, one `key: message` per mistake.

    Args:
        given: what the user wrote.
        table: the fields of the class, see `field_table`.
        owned: field -> the key to use instead, for fields that the pipeline sets itself.
        machine: fields that never change a result and belong under `resources`.
        target: the class, like `trl.DPOConfig`.
    """
    found = []
    for key, value in given.items():
        if key in owned:
            found.append(f"{key}: set by the pipeline; {owned[key]}")
        elif key in machine:
            found.append(f"{key}: a machine setting, not identity; set resources.<stage>.trainer.{key}")
        elif key not in table:
            found.append(f"{key}: {_unknown(key, table, target, hidden={*owned, *machine})}")
        elif (refusal := _refusal(value, table[key], key, target)) is not None:
            found.append(f"{key}: {refusal}")
    return found


def validated(given: Mapping[str, Any], table: Mapping[str, Field]) -> dict[str, Any]:
    """The mapping with every value as its field's type has it (`1` for a float field becomes `1.0`)."""
    return {key: _adapter(table[key].hint).validate_python(value) for key, value in given.items()}


def defaults_digest(table: Mapping[str, Field], keys: Iterable[str]) -> str:
    """sha256 of the default values that upstream gives these fields; it changes when one of them does."""
    text = json.dumps({key: table[key].default for key in keys}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=ConfigDict(strict=True))


def _unknown(key: str, table: Mapping[str, Field], target: str, hidden: Set[str]) -> str:
    own = target.rpartition(".")[2]
    homes = [other.rpartition(".")[2] for other in TRAINERS if other != target and key in field_table(other)]
    if homes:
        return f"is a {' and '.join(homes)} field, not a {own} field"
    return f"not a {own} field{did_you_mean(key, set(table) - hidden)}"


def _refusal(value: Any, field: Field, key: str, target: str) -> str | None:
    """Why a value is refused, or None."""
    choices = CHOICES.get(target, {}).get(key) or field.choices or _literals(field.hint)
    for item in value if isinstance(value, list) else [value]:
        if choices and isinstance(item, str) and item not in choices:
            return f"should be one of {', '.join(choices)} (got {shown(item)}){did_you_mean(item, choices)}"
    try:
        _adapter(field.hint).validate_python(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and key in BOUNDS:
            _within(key).validate_python(value)
    except ValidationError as failure:
        messages = dict.fromkeys(error["msg"].replace("Input should", "should") for error in failure.errors())
        return f"{', or '.join(messages)} (got {shown(value)})"
    return None


def _literals(hint: Any) -> tuple[str, ...]:
    """The words a type admits; empty when it admits any text."""
    alternatives = members(hint)
    if str in alternatives:
        return ()
    return tuple(
        word
        for item in alternatives
        if get_origin(item) is Literal
        for word in get_args(item)
        if isinstance(word, str)
    )


@cache
def _within(key: str) -> TypeAdapter[Any]:
    return TypeAdapter(Annotated[float, BOUNDS[key]])
