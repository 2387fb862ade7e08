"""Conversion: a raw row -> a canonical row, by one source's columns, format, map and filter."""

from collections.abc import Callable, Mapping
from types import UnionType
from typing import Any, get_args

from align.config.plugin import PluginSpec
from align.data.formats.table import bound, format_of
from align.data.records import Refusal, Row, RowError, check_row
from align.data.spec import SourceSpec


class Converter:
    """One source's way from a raw row to a canonical one: columns, format, map, filter, check."""

    def __init__(self, name: str, source: SourceSpec, row_type: type[Row] | UnionType) -> None:
        self.name = name
        self._source = source
        self._row_type = row_type
        self._format = _guarded(source.format, format_of(source.format))
        self._map = _guarded(source.map, bound(source.map)) if source.map else None
        self._filter = _guarded(source.filter, bound(source.filter)) if source.filter else None

    def __call__(self, raw: Mapping[str, Any]) -> Row | None:
        """The canonical row, or None where the filter refuses it.

        Raises:
            RowError: the row does not fit.
        """
        row = self._format(self._renamed(raw) if self._source.columns else raw)
        if self._map is not None:
            row = self._map(row)
        if not isinstance(row, self._row_type):
            needed = " or ".join(item.__name__ for item in get_args(self._row_type) or (self._row_type,))
            raise Refusal(
                f"source {self.name!r} makes {type(row).__name__} rows, and {needed} rows are needed; "
                "set another `format`, or choose another dataset"
            )
        if self._filter is not None and not self._filter(row):
            return None
        check_row(row)
        return row

    def _renamed(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        renamed = dict(raw)
        for wanted, column in self._source.columns.items():
            if column not in raw:
                raise RowError(
                    f"no column {column!r} (columns.{wanted}); the row has {', '.join(map(str, raw))}",
                    reason=f"no column {column!r}",
                )
            renamed[wanted] = raw[column]
        return renamed


def _guarded(plugin: str | PluginSpec, function: Callable[..., Any]) -> Callable[..., Any]:
    """A user's function whose own failures are told as such; those of the table need no guard."""
    if isinstance(plugin, str):
        return function

    def guarded(row: Any) -> Any:
        try:
            return function(row)
        except RowError:
            raise
        except Exception as cause:
            raise Refusal(f"{plugin.target} failed with {type(cause).__name__}: {cause}") from cause

    return guarded
