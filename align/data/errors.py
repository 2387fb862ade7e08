"""DataError: data that cannot be used as it is, told to the user with its place and the remedy."""

from pathlib import Path


class DataError(ValueError):
    """The message names file and line (or the configuration key), what is wrong, and what to do."""


def located(path: Path | str, line: int | None, problem: str) -> DataError:
    """A DataError that begins with `file:line:`; `line` counts from 1 and is None for the whole file."""
    place = f"{path}:{line}" if line is not None else str(path)
    return DataError(f"{place}: {problem}")
