"""A local file -> raw rows, by suffix: jsonl, json, csv, tsv, txt, parquet; gzipped ones too."""

from collections.abc import Iterator
from pathlib import Path

from align.data.errors import located
from align.data.readers.delimited import Quoting, delimited_rows
from align.data.readers.json_rows import RawRow, json_rows
from align.data.readers.parquet import parquet_rows
from align.data.readers.plain import TextUnit, plain_rows

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".parquet")


def local_rows(
    path: Path, *, encoding: str = "utf-8", text_unit: TextUnit = "line", quoting: Quoting | None = None
) -> Iterator[RawRow]:
    """Raw rows of a file, each with the number of the line that it starts on.

    Raises:
        DataError: the suffix is unknown, or the file cannot be read as what the suffix says.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix in (".jsonl", ".json"):
        return json_rows(path, encoding)
    if suffix == ".csv":
        return delimited_rows(path, encoding, ",", quoting or "minimal")
    if suffix == ".tsv":
        return delimited_rows(path, encoding, "\t", quoting or "none")
    if suffix == ".txt":
        return plain_rows(path, encoding, text_unit)
    if suffix == ".parquet":
        return parquet_rows(path)
    raise located(
        path, None, f"unknown kind of file; expected one of {', '.join(SUFFIXES)}, or these with .gz"
    )
