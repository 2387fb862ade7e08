"""Plain text files -> raw rows `{"text": …}`: a line, a paragraph, or the whole document each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from align.data.readers.json_rows import RawRow
from align.data.readers.lines import decoded_lines

TextUnit = Literal["line", "paragraph", "document"]


def plain_rows(path: Path, encoding: str, unit: TextUnit) -> Iterator[RawRow]:
    """Rows with the number of the line that each starts on; paragraphs are separated by blank lines.

    Raises:
        DataError: the file cannot be read, or is not in this encoding.
    """
    lines = decoded_lines(path, encoding)
    if unit == "line":
        return ((str(number), {"text": line}) for number, line in lines)
    if unit == "paragraph":
        return _paragraphs(lines)
    return iter([("1", {"text": "\n".join(line for _, line in lines)})])


def _paragraphs(lines: Iterator[tuple[int, str]]) -> Iterator[RawRow]:
    start, gathered = 1, list[str]()
    for number, line in lines:
        if line.strip():
            start = start if gathered else number
            gathered.append(line)
        elif gathered:
            yield str(start), {"text": "\n".join(gathered)}
            gathered = []
    if gathered:
        yield str(start), {"text": "\n".join(gathered)}
