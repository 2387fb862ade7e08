"""A JSON array of rows -> its rows, read a block at a time: memory holds one row and a block."""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from align.data.errors import DataError, located
from align.data.readers.lines import BYTE_ORDER_MARK, opened, undecodable

BLOCK = 2**20  # bytes
PEEK = 2**12
CUT = 16  # characters: an error so near the end of what was read may be the end's
WHITE = " \t\r\n"

_DECODER = json.JSONDecoder()


def opens_array(path: Path) -> bool:
    """Whether the first character of a file, white space aside, opens an array.

    Raises:
        DataError: the file cannot be read.
    """
    with opened(path) as stream:
        while block := stream.read(PEEK):
            if text := block.removeprefix(codecs.BOM_UTF8).strip():
                return text.startswith(b"[")
    return False


def array_rows(path: Path, encoding: str) -> Iterator[tuple[int, int, Any]]:
    """(line where it starts, number from 1, value) of every element of the array.

    Raises:
        DataError: the file cannot be read, is not in this encoding, is not JSON, or goes on after the array.
    """
    text = _Text(path, encoding)
    text.skip(1)  # the bracket
    number = 0
    while text.peek() != "]":
        number += 1
        line = text.line
        yield line, number, text.value()
        end = text.line
        if (mark := text.peek()) not in (",", "]"):
            problem = "the array goes on without `,` or `]`; the file may be cut off"
            raise located(path, text.line if mark else end, problem)
        if mark == ",":
            text.skip(1)
    end = text.line
    text.skip(1)
    if text.peek():
        raise located(path, end, "something follows the end of the array; keep one array per file")


class _Text:
    """The characters of a file from a place on that moves forward."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path = path
        self._blocks = _decoded_blocks(path, encoding)
        self._text = ""
        self._position = 0
        self._column = 0  # characters of the line that stand before `_text`
        self.line = 1  # of the position

    def peek(self) -> str:
        """The next character that is not white space; empty at the end of the file."""
        while True:
            start = self._position
            while self._position < len(self._text) and self._text[self._position] in WHITE:
                self._position += 1
            self.line += self._text.count("\n", start, self._position)
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._more(BLOCK):
                return ""

    def skip(self, count: int) -> None:
        """Go past characters that `peek` has shown."""
        self.peek()
        self._position += count

    def value(self) -> Any:
        """The next value.

        Raises:
            DataError: there is none; the message names line and column.
        """
        self.peek()
        wanted = BLOCK
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._position)
            except json.JSONDecodeError as cause:
                is_cut = cause.pos > len(self._text) - CUT or cause.msg.startswith("Unterminated string")
                if is_cut and self._more(wanted):
                    wanted *= 2  # so that a long value is not read again and again
                    continue
                raise self._broken(cause) from cause
            self.line += self._text.count("\n", self._position, end)
            self._position = end
            return value

    def _broken(self, cause: json.JSONDecodeError) -> DataError:
        line = self.line + self._text.count("\n", self._position, cause.pos)
        start = self._text.rfind("\n", 0, cause.pos) + 1
        column = cause.pos - start + 1 + (0 if start else self._column)
        problem = f"not valid JSON at column {column} ({cause.msg}); correct or remove the row"
        return located(self._path, line, problem)

    def _more(self, characters: int) -> bool:
        """Read on, and drop what lies behind; False at the end of the file, where nothing changes."""
        parts, read = [""], 0
        while read < characters and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            read += len(block)
        if not read:
            return False
        start = self._text.rfind("\n", 0, self._position) + 1
        self._column = self._position - start + (0 if start else self._column)
        parts[0] = self._text[self._position :]
        self._text, self._position = "".join(parts), 0
        return True


def _decoded_blocks(path: Path, encoding: str) -> Iterator[str]:
    """The text of a file, a block after the other, without a byte-order mark."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, column, is_first = 1, 0, True  # of the first byte that is not decoded yet
    with opened(path) as stream:
        while block := stream.read(BLOCK):
            waiting = decoder.getstate()[0]
            try:
                text = decoder.decode(block)
            except UnicodeDecodeError as cause:
                before = (waiting + block)[: cause.start]
                column = len(before) - before.rfind(b"\n") - 1 + (0 if b"\n" in before else column)
                byte = (waiting + block)[cause.start]
                raise undecodable(path, line + before.count(b"\n"), byte, column, encoding) from cause
            read = (waiting + block).removesuffix(decoder.getstate()[0])
            line += read.count(b"\n")
            column = len(read) - read.rfind(b"\n") - 1 + (0 if b"\n" in read else column)
            yield text.removeprefix(BYTE_ORDER_MARK) if is_first else text
            is_first = is_first and not text
        if waiting := decoder.getstate()[0]:
            raise undecodable(path, line, waiting[0], column, encoding)
