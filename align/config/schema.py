"""Schema: reads the type hints of the configuration dataclasses, step by step along a dotted path."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints


@cache
def field_hints(cls: type) -> Mapping[str, Any]:
    """Field name -> type hint of a dataclass, annotations included."""
    hints = get_type_hints(cls, include_extras=True)
    return {item.name: hints[item.name] for item in fields(cls)}


def field_names(hint: Any) -> list[str]:
    """The fields of a dataclass; none of anything else."""
    return list(field_hints(hint)) if isinstance(hint, type) and is_dataclass(hint) else []


def unannotated(hint: Any) -> Any:
    """The hint without its outer `Annotated`."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return hint


def members(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union other than None; a hint that is no union is its own only member."""
    hint = unannotated(hint)
    if get_origin(hint) not in (Union, UnionType):
        return (hint,)
    return tuple(inner for item in get_args(hint) if item is not type(None) for inner in members(item))


def marks(hint: Any) -> tuple[Any, ...]:
    """The metadata of a hint's annotations, those of its union members included."""
    found: tuple[Any, ...] = ()
    while get_origin(hint) is Annotated:
        found += hint.__metadata__
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        found += tuple(mark for item in get_args(hint) for mark in marks(item))
    return found


def element(hint: Any) -> Any:
    """What a container's entries are: the value type of a mapping, the item type of a sequence; else Any."""
    for member in members(hint):
        origin, arguments = get_origin(member), get_args(member)
        if origin is None or not arguments or not isinstance(origin, type):
            continue
        if issubclass(origin, Mapping):
            return arguments[1]
        if issubclass(origin, Sequence | set | frozenset):
            return arguments[0]
    return Any


def tag(cls: Any) -> str | None:
    """The value of a dataclass' `kind` field, by which a tagged union tells its members apart."""
    if not (isinstance(cls, type) and is_dataclass(cls)):
        return None
    kind = unannotated(field_hints(cls).get("kind"))
    return str(get_args(kind)[0]) if get_origin(kind) is Literal else None


def stage_types(root: type) -> Mapping[str, type]:
    """Kind -> stage class, read from the `stages` field of the root type."""
    stages = field_hints(root).get("stages") if is_dataclass(root) else None
    return {name: member for member in members(element(stages)) if (name := tag(member))}
