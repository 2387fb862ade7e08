"""Facts: a data file -> what a card says of it that can be measured without knowing what its rows mean."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align.artifacts.digest import sha256_of
from align.data.errors import DataError
from align.data.readers.local import local_rows
from align.data.spec import SourceSpec
from align.data.verification import kind_of

READING = {
    "encoding": "utf-8",
    "quoting": None,
    "read_as": None,
    "text_unit": "line",
}  # unless told otherwise


@dataclass(frozen=True)
class FileFacts:
    """What `align.files` says of one file, and its columns."""

    path: str
    sha256: str
    bytes: int
    rows: int
    columns: Mapping[str, str]
    reading: Mapping[str, Any]

    def as_entry(self) -> dict[str, Any]:
        """As an entry of `align.files`."""
        entry = {"path": self.path, "sha256": self.sha256, "bytes": self.bytes, "rows": self.rows}
        return {**entry, **self.reading}


def file_facts(file: Path, data: Path, source: SourceSpec) -> FileFacts:
    """Read one file of a source from end to end; its path is told relative to `data` where it lies below.

    Raises:
        DataError: the file cannot be read, or a column has values of several kinds.
    """
    reading = {name: getattr(source, name) for name in READING}
    rows = (row for _, row in local_rows(file, **reading))
    count, columns = counted(rows, str(file))
    unusual = {name: value for name, value in reading.items() if value != READING[name]}
    if file.resolve().is_relative_to(data.resolve()):
        path = file.resolve().relative_to(data.resolve()).as_posix()
    else:
        path = file.name
    return FileFacts(path, sha256_of(file), file.stat().st_size, count, columns, unusual)


def columns_of(files: Iterable[FileFacts]) -> dict[str, str]:
    """The columns of several files as one card tells them: what one file lacks may be missing.

    Raises:
        DataError: two files disagree about the kind of a column.
    """
    parts = [facts.columns for facts in files]
    merged: dict[str, str] = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        kinds = {part[name].removesuffix("?") for part in parts if name in part}
        if len(kinds) > 1:
            raise DataError(f"column {name!r}: {' in one file, '.join(sorted(kinds))} in another")
        is_always = all(name in part and not part[name].endswith("?") for part in parts)
        merged[name] = kinds.pop() + ("" if is_always else "?")
    return merged


def counted(rows: Iterable[Mapping[str, Any]], origin: str) -> tuple[int, dict[str, str]]:
    """(number of rows, kind of each column).

    Raises:
        DataError: a column has values of several kinds.
    """
    count, kinds = 0, dict[str, Counter[str]]()
    for row in rows:
        count += 1
        for name, value in row.items():
            kinds.setdefault(name, Counter())[kind_of(value)] += 1
    columns = {}
    for name, found in kinds.items():
        present = count - found.pop("null", 0)
        if len(found) > 1:
            told = ", ".join(f"{kind} in {number}" for kind, number in found.most_common())
            raise DataError(f"{origin}: column {name!r} has values of several kinds: {told} rows")
        kind = next(iter(found), "text")
        columns[name] = kind + ("" if found[kind] == count == present else "?")
    return count, columns
