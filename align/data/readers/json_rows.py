"""JSON files -> raw rows: an array, one object per line, or a single object, whatever the suffix says."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from align.data.errors import DataError, located
from align.data.readers.json_array import array_rows, opens_array
from align.data.readers.lines import decoded_from, decoded_lines, opened

RawRow = tuple[str, Mapping[str, Any]]  # (where it starts, as told after `file:`; its fields)
BLOCK_BYTES = 2**20


class LineBlock(NamedTuple):
    """Some lines of a file with one object per line, as bytes; `first` is the number of the first, from 1."""

    path: Path
    encoding: str
    first: int
    content: bytes


def json_rows(path: Path, encoding: str) -> Iterator[RawRow]:
    """Rows with the line that each starts on, read one at a time.

    Raises:
        DataError: the file cannot be read, is not JSON, or holds something else than objects.
    """
    if opens_array(path):
        for line_number, index, row in array_rows(path, encoding):
            yield f"{line_number} (row {index})", _checked(path, line_number, row)
        return
    lines = decoded_lines(path, encoding)
    first = next(((number, line) for number, line in lines if line.strip()), None)
    if first is None:
        return
    if _is_object(first[1]):
        yield from _lines(path, chain([first], lines))
    else:
        yield from _single(path, first, list(lines))


def has_rows_in_lines(path: Path, encoding: str) -> bool:
    """Whether a file has one object per line, as far as its first row tells; not where it cannot be read."""
    try:
        if opens_array(path):
            return False
        first = next((line for _, line in decoded_lines(path, encoding) if line.strip()), "")
    except DataError:
        return False
    return _is_object(first)


def line_blocks(path: Path, encoding: str) -> Iterator[LineBlock]:
    """A file that `has_rows_in_lines`, about a megabyte at a time; `rows_of` all blocks are its rows.

    Raises:
        DataError: the file cannot be read any further.
    """
    with opened(path) as stream:
        first, lines, size = 1, list[bytes](), 0
        try:
            for line in stream:
                lines.append(line)
                size += len(line)
                if size >= BLOCK_BYTES:
                    yield LineBlock(path, encoding, first, b"".join(lines))
                    first, lines, size = first + len(lines), [], 0
        except (EOFError, zlib.error, gzip.BadGzipFile):
            yield LineBlock(path, encoding, first, b"".join(lines))  # what comes before the damage is sound
            raise
        if lines:
            yield LineBlock(path, encoding, first, b"".join(lines))


def rows_of(block: LineBlock) -> Iterator[RawRow]:
    """The rows of a block; raises as `json_rows`."""
    path, encoding, first, content = block
    return _lines(path, decoded_from(path, io.BytesIO(content), encoding, first))


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
