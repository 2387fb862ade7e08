"""Explain: pydantic's errors -> problems in the user's words, with dotted paths and suggestions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from align.config.problem import Problem, shown
from align.config.schema import element, field_hints, field_names, members, tag
from align.config.suggest import did_you_mean

MISMATCH = "_type"  # suffix of the error types that say no more than "this is another type"


@dataclass(frozen=True)
class _Found:
    """One pydantic error at its place; below a union (`branch`) alternatives fail side by side."""

    path: tuple[str, ...]
    hint: Any
    branch: bool
    error: Mapping[str, Any]

    @property
    def is_mismatch(self) -> bool:
        return str(self.error["type"]).endswith(MISMATCH)


def explain(failure: ValidationError, root: Any) -> list[Problem]:
    """List what pydantic found wrong, one problem per place unless a validator lists several."""
    places: dict[tuple[str, ...], list[_Found]] = {}
    for error in failure.errors(include_url=False):
        found = _place(error, root)
        places.setdefault(found.path, []).append(found)
    return list(dict.fromkeys(problem for found in places.values() for problem in _at_one_place(found)))


def _place(error: Mapping[str, Any], root: Any) -> _Found:
    """Follow the types along pydantic's location and leave out the union labels it inserts."""
    path: tuple[str, ...] = ()
    hint, branch = root, False
    for part in error["loc"]:
        choices = members(hint)
        if len(choices) > 1:
            chosen = [
                item for item in choices if part in (tag(item), getattr(item, "__name__", None), str(item))
            ]
            hint, branch = (chosen[0] if chosen else Any), branch or not (chosen and tag(chosen[0]))
        elif part != "[key]":
            path += (str(part),)
            hint = _below(choices[0], part)
    return _Found(path, hint, branch, error)


def _below(hint: Any, part: Any) -> Any:
    if field_names(hint):
        return field_hints(hint).get(part, hint)  # an unknown key keeps the class: what could it have been?
    return element(hint)


def _at_one_place(found: Sequence[_Found]) -> Iterator[Problem]:
    """Of a union's failed alternatives, those that say more than "another type" speak alone."""
    telling = [item for item in found if not item.is_mismatch] or found
    if len(telling) > 1 and all(item.branch for item in telling):
        messages = dict.fromkeys(
            problem.message for item in telling for problem in _problems(item, with_value=False)
        )
        yield Problem(telling[0].path, f"{', or '.join(messages)} (got {shown(telling[0].error['input'])})")
    else:
        for item in telling:
            yield from _problems(item, with_value=True)


def _problems(found: _Found, *, with_value: bool) -> Iterator[Problem]:
    error, path = found.error, found.path
    got = f" (got {shown(error['input'])})" if with_value else ""
    match error["type"]:
        case "unexpected_keyword_argument":
            names = field_names(found.hint)
            hint = did_you_mean(path[-1], names) or f"; keys here: {', '.join(names)}"
            yield Problem(path, f"no such key{hint}")
        case "missing":
            yield Problem(path, "required, but not set")
        case "union_tag_invalid":
            given = str(error["ctx"]["tag"])
            kinds = [name for item in members(found.hint) if (name := tag(item))]
            known = f"no such kind (got {given!r}; {', '.join(kinds)})"
            yield Problem((*path, "kind"), f"{known}{did_you_mean(given, kinds)}")
        case "value_error" | "assertion_error":
            yield from _said_by_a_validator(found)
        case "dataclass_type" | "model_attributes_type" | "mapping_type" | "dict_type":
            yield Problem(path, f"should be a mapping{got}")
        case "literal_error":
            yield Problem(path, f"{_should(error)}{got}{_close_literal(found)}")
        case _:
            yield Problem(path, f"{_should(error)}{got}")


def _should(error: Mapping[str, Any]) -> str:
    message = str(error["msg"])
    return f"should{message.removeprefix('Input should')}" if message.startswith("Input should") else message


def _close_literal(found: _Found) -> str:
    choices = [str(value) for member in members(found.hint) for value in get_args(member)]
    return did_you_mean(str(found.error["input"]), choices)


def _said_by_a_validator(found: _Found) -> Iterator[Problem]:
    """Our checks raise a line per problem; `beta: …` at a mapping that may have `beta` is about it."""
    given = found.error["input"]
    keys = {str(key) for key in given} if isinstance(given, Mapping) else set()
    keys |= set(field_names(found.hint))
    for line in str(found.error["ctx"]["error"]).splitlines():
        head, colon, rest = line.partition(": ")
        if colon and head.split(".")[0] in keys:
            yield Problem((*found.path, *head.split(".")), _named(rest, found.path))
        else:
            yield Problem(found.path, _named(line, found.path))


def _named(message: str, path: tuple[str, ...]) -> str:
    """A stage's checks do not know what it is called; they write `resources.<stage>` and the like."""
    return message.replace("<stage>", path[1]) if path[:1] == ("stages",) and len(path) > 1 else message
