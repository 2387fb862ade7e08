"""Verification: what a card says of a dataset's files, rows and columns -> where the data disagrees."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from align.artifacts.digest import sha256_of
from align.data.errors import DataError
from align.data.readers.local import local_rows

if TYPE_CHECKING:
    from datasets import Dataset

    from align.data.card_schema import CardFile

Kind = Literal["text", "number", "boolean", "list", "mapping", "null"]


def file_problems(field: str, stated: "CardFile", columns: Mapping[str, str], file: Path) -> list[str]:
    """Hold a local file against `field`, its entry in a card; each problem begins with the card's field."""
    if not file.is_file():
        return [f"{field}.path: no such file {file}"]
    problems = []
    if (size := file.stat().st_size) != stated.bytes:
        problems.append(f"{field}.bytes: the card says {stated.bytes}, {file} has {size}")
    if (digest := sha256_of(file)) != stated.sha256:
        problems.append(f"{field}.sha256: the card says {stated.sha256}, {file} has {digest}")
    try:
        rows, found = column_problems(
            (
                row
                for _, row in local_rows(
                    file,
                    read_as=stated.read_as,
                    encoding=stated.encoding,
                    text_unit=stated.text_unit,
                    quoting=stated.quoting,
                )
            ),
            columns,
        )
    except DataError as cause:
        return [*problems, f"{field}.path: {cause}"]
    if rows != stated.rows:
        problems.append(f"{field}.rows: the card says {stated.rows}, {file} has {rows}")
    return problems + found


def dataset_problems(rows: int, columns: Mapping[str, str], dataset: "Dataset") -> list[str]:
    """Hold one split of a Hub dataset against its card; kinds are those of the first row."""
    problems = []
    if len(dataset) != rows:
        problems.append(f"splits: the card says {rows} rows, the split has {len(dataset)}")
    return problems + column_problems(dataset.select(range(min(1, len(dataset)))), columns)[1]


def column_problems(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> tuple[int, list[str]]:
    """(number of rows, columns that are missing, unknown or of another kind, each told once)."""
    count, problems = 0, dict[str, str]()
    for count, row in enumerate(rows, start=1):
        for name in row.keys() - columns.keys():
            problems.setdefault(name, f"columns.{name}: not in the card, but in row {count}")
        for name, stated in columns.items():
            kind = kind_of(row.get(name))
            if kind != stated and not (stated.endswith("?") and kind in ("null", stated[:-1])):
                told = "missing" if name not in row else kind
                problems.setdefault(name, f"columns.{name}: the card says {stated}, row {count} has {told}")
    return count, list(problems.values())


def kind_of(value: object) -> Kind:
    """The kind of a value, in a card's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "mapping" if isinstance(value, Mapping) else "list"
