"""Reading one field of a raw row, with an error that names what is there instead."""

from collections.abc import Mapping, Sequence
from typing import Any

from align.data.records import RowError


def field(row: Mapping[str, Any], name: str) -> Any:
    """The value of a field that must be there.

    Raises:
        RowError: the row has no such field.
    """
    if name not in row:
        raise RowError(
            f"no field {name!r}; the row has {', '.join(map(str, row)) or 'no fields'}. "
            f"Map another one with `columns: {{{name}: <its name>}}`",
            reason=f"no field {name!r}",
        )
    return row[name]


def text(row: Mapping[str, Any], name: str) -> str:
    """A field that must be text; it may be blank.

    Raises:
        RowError: the field is missing or is not text.
    """
    value = field(row, name)
    if not isinstance(value, str):
        is_null = value is None
        raise RowError(
            f"{name} is {kind(value)}, expected text",
            reason=f"{name} is {'null' if is_null else 'not text'}",
            kind="blank" if is_null else "misfit",
        )
    return value


def optional_text(row: Mapping[str, Any], name: str) -> str:
    """A field that may be missing or null, which reads as blank.

    Raises:
        RowError: the field is there and is not text.
    """
    return text(row, name) if row.get(name) is not None else ""


def mapping(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A field that must be a mapping.

    Raises:
        RowError: the field is missing or is not a mapping.
    """
    value = field(row, name)
    if not isinstance(value, Mapping):
        raise RowError(f"{name} is {kind(value)}, expected a mapping", reason=f"{name} is not a mapping")
    return value


def turns(row: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    """A field that must be a list of mappings.

    Raises:
        RowError: the field is missing, is not a list, or holds something else than mappings.
    """
    value = field(row, name)
    if isinstance(value, str) or not isinstance(value, Sequence):
        is_null = value is None
        raise RowError(
            f"{name} is {kind(value)}, expected a list of turns",
            reason=f"{name} is {'null' if is_null else 'not a list'}",
            kind="blank" if is_null else "misfit",
        )
    for number, turn in enumerate(value, start=1):
        if not isinstance(turn, Mapping):
            raise RowError(
                f"{name}: turn {number} is {kind(turn)}, expected a mapping", reason=f"{name} is malformed"
            )
    return value


def kind(value: object) -> str:
    """What an error calls a value that is not what was expected."""
    return "null" if value is None else type(value).__name__
