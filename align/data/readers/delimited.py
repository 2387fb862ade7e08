"""Tables in csv or tsv -> raw rows, with quoting said and never guessed."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from align.data.errors import located
from align.data.readers.json_rows import RawRow
from align.data.readers.lines import decoded_lines

LONGEST_FIELD = 2**31 - 1  # csv stops at 128 KiB otherwise

Quoting = Literal["minimal", "none"]
STYLES: Mapping[Quoting, Literal[0, 3]] = {"minimal": csv.QUOTE_MINIMAL, "none": csv.QUOTE_NONE}


def delimited_rows(
    path: Path, encoding: str, delimiter: str, quoting: Quoting, names: Sequence[str] | None = None
) -> Iterator[RawRow]:
    """Rows as column name -> text.

    Args:
        path: the table.
        encoding: of the file.
        delimiter: between columns.
        quoting: `none` keeps quotation marks as they are; `minimal` lets a quoted field hold delimiters and
            line ends, and an unpaired quotation mark is then an error.
        names: of the columns; by default the first line has them.

    Raises:
        DataError: the file cannot be read, a row has more or fewer fields than the header, or quotes do not
        pair.
    """
    csv.field_size_limit(LONGEST_FIELD)
    lines = (f"{line}\n" for _, line in decoded_lines(path, encoding))
    reader = csv.reader(lines, delimiter=delimiter, quoting=STYLES[quoting], strict=True)
    header = None if names is None else _checked_header(path, [*names])
    start = 1
    try:
        for values in reader:
            if header is None:
                header = _checked_header(path, values)
            elif values:
                yield str(start), _row(path, start, header, values)
            start = reader.line_num + 1
    except csv.Error as cause:
        raise located(
            path,
            start,
            f"{cause} (the row starts here); correct the quotation marks, or set `quoting: none`",
        ) from cause


def _checked_header(path: Path, names: list[str]) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise located(path, 1, f"the header names {', '.join(twice)} twice; rename one")
    return names


def _row(path: Path, number: int, header: list[str], values: list[str]) -> dict[str, str]:
    if len(values) != len(header):
        raise located(
            path,
            number,
            f"{len(values)} fields where the header has {len(header)}; correct the row, or the `quoting`",
        )
    return dict(zip(header, values, strict=True))
