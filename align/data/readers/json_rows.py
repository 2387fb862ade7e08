"""JSON files -> raw rows: an array, one object per line, or a single object, whatever the suffix says."""

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from align.data.errors import located
from align.data.readers.lines import decoded_lines

RawRow = tuple[str, Mapping[str, Any]]  # (where it starts, as told after `file:`; its fields)

_DECODER = json.JSONDecoder()


def json_rows(path: Path, encoding: str) -> Iterator[RawRow]:
    """Rows with the line that each starts on; JSON lines are read one at a time, an array as a whole.

    Raises:
        DataError: the file cannot be read, is not JSON, or holds something else than objects.
    """
    lines = decoded_lines(path, encoding)
    first = next(((number, line) for number, line in lines if line.strip()), None)
    if first is None:
        return
    number, line = first
    rest = chain([first], lines)
    if line.lstrip().startswith("["):
        yield from _array(path, number, "\n".join(text for _, text in rest))
    elif _is_object(line):
        yield from _lines(path, rest)
    else:
        yield from _single(path, first, list(lines))


def _lines(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[RawRow]:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as cause:
            raise located(path, number, _broken(cause.msg, cause.colno)) from cause
        yield str(number), _checked(path, number, row)


def _single(path: Path, first: tuple[int, str], others: list[tuple[int, str]]) -> Iterator[RawRow]:
    """One object over many lines; where that fails too, the first line is what is wrong."""
    number, line = first
    try:
        row = json.loads("\n".join([line, *(text for _, text in others)]))
    except json.JSONDecodeError:
        try:
            row = json.loads(line)
        except json.JSONDecodeError as cause:
            raise located(path, number, _broken(cause.msg, cause.colno)) from cause
    yield str(number), _checked(path, number, row)


def _array(path: Path, first_line: int, text: str) -> Iterator[RawRow]:
    line, counted, index = first_line, 0, 0
    position = _skip(text, 0) + 1
    while True:
        position = _skip(text, position)
        line, counted = line + text.count("\n", counted, position), position
        if text[position : position + 1] == "]":
            break
        try:
            row, position = _DECODER.raw_decode(text, position)
        except json.JSONDecodeError as cause:
            raise located(path, first_line + cause.lineno - 1, _broken(cause.msg, cause.colno)) from cause
        index += 1
        yield f"{line} (row {index})", _checked(path, line, row)
        position = _skip(text, position)
        if text[position : position + 1] not in (",", "]"):
            place = first_line + text.count("\n", 0, position)
            raise located(path, place, "the array goes on without `,` or `]`; the file may be cut off")
        position += text[position] == ","
    if text[_skip(text, position + 1) :]:
        raise located(path, line, "something follows the end of the array; keep one array per file")


def _skip(text: str, position: int) -> int:
    """The next position that is not white space."""
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False


def _checked(path: Path, number: int, row: Any) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise located(path, number, f"a row is {type(row).__name__}, expected an object with named fields")
    return row


def _broken(message: str, column: int) -> str:
    return f"not valid JSON at column {column} ({message}); correct or remove the row"
