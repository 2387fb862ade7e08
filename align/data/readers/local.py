"""A local file -> raw rows, by suffix: jsonl, json, csv, tsv, txt, parquet; gzipped ones too."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from align.artifacts.digest import visible_files
from align.data.errors import located
from align.data.readers.delimited import Quoting, delimited_rows
from align.data.readers.json_rows import RawRow, json_rows
from align.data.readers.parquet import parquet_rows
from align.data.readers.plain import TextUnit, plain_rows

FileKind = Literal["json", "csv", "tsv", "txt", "parquet"]
SUFFIXES: Mapping[str, FileKind] = {
    ".jsonl": "json",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "txt",
    ".parquet": "parquet",
}


def files_of(path: Path) -> Iterator[Path]:
    """A file itself; of a folder every visible file in it, in the order of their names.

    Raises:
        DataError: the folder is empty.
    """
    if not path.is_dir():
        yield path
        return
    found = list(visible_files(path))
    if not found:
        raise located(path, None, "is an empty folder; name a file, or a folder that holds some")
    yield from found


def kind_of(path: Path, read_as: FileKind | None) -> FileKind | None:
    """What a file is, by what is said of it or by its suffix; None where that is unknown."""
    return read_as or SUFFIXES.get(Path(path.name.removesuffix(".gz")).suffix.lower())


def local_rows(
    path: Path,
    *,
    read_as: FileKind | None = None,
    encoding: str = "utf-8",
    text_unit: TextUnit = "line",
    quoting: Quoting | None = None,
    delimiter: str | None = None,
    header: Sequence[str] | None = None,
) -> Iterator[RawRow]:
    """Raw rows of a file, each with the number of the line that it starts on.

    Args:
        path: the file, gzipped or not.
        read_as: what the file is, where its suffix does not say so; JSON is an array or lines.
        encoding: of the file.
        text_unit: what a row of a plain text file is.
        quoting: whether a table has quoted fields; by default csv has, others have not.
        delimiter: between the columns of a table; a file that is read with one is a table.
        header: the names of a table's columns, where its first line does not have them.

    Raises:
        DataError: the suffix is unknown, or the file cannot be read as what it is said to be.
    """
    kind = kind_of(path, read_as)
    if delimiter is not None:
        return delimited_rows(path, encoding, delimiter, quoting or "none", header)
    if kind == "json":
        return json_rows(path, encoding)
    if kind == "csv":
        return delimited_rows(path, encoding, ",", quoting or "minimal", header)
    if kind == "tsv":
        return delimited_rows(path, encoding, "\t", quoting or "none", header)
    if kind == "txt":
        return plain_rows(path, encoding, text_unit)
    if kind == "parquet":
        return parquet_rows(path)
    raise located(
        path,
        None,
        f"unknown kind of file; expected one of {', '.join(SUFFIXES)}, or these with .gz, or say what it is "
        "with `read_as`",
    )
