"""Conversion: raw rows -> canonical rows, by one source's columns, format, map and filter."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import UnionType
from typing import Any, get_args

from align.config.plugin import PluginSpec
from align.data.formats.answers import Answer, Comparison
from align.data.formats.table import bound, format_of
from align.data.records import Conversation, Place, PreferencePair, Refusal, Row, RowError, Unused, check_row
from align.data.spec import SourceSpec

PlacedRow = tuple[Place, Mapping[str, Any]]
Outcome = tuple[Place, Row | RowError]  # (where it stands, the row or why there is none)


class Converter:
    """One source's way from raw rows to canonical ones: columns, format, map, filter, check."""

    def __init__(self, name: str, source: SourceSpec, row_type: type[Row] | UnionType) -> None:
        self._source = source
        self._name = name
        self._row_types: tuple[type[Row], ...] = get_args(row_type) or (row_type,)
        self._format = _guarded(source.format, format_of(source.format))
        self._map = _guarded(source.map, bound(source.map)) if source.map else None
        self._filter = _guarded(source.filter, bound(source.filter)) if source.filter else None

    def __call__(self, raw_rows: Iterable[PlacedRow]) -> Iterator[Outcome]:
        """What every raw row makes, one outcome or more each; a row that does not fit is told, not raised.

        Answers that are judged one by one come as conversations, the good ones, where these are wanted and
        pairs are not; otherwise as the pairs that they make, once all raw rows are read.
        """
        is_compared = PreferencePair in self._row_types or Conversation not in self._row_types
        comparison = Comparison()
        for place, raw in raw_rows:
            for made in self._made(raw):
                if is_compared and isinstance(made, Answer):
                    comparison.add(place, made)
                else:
                    yield place, self._finished(made)
        for places, pair in comparison.pairs():
            yield places, self._finished(pair)

    def _made(self, raw: Mapping[str, Any]) -> list[Any]:
        """What the format makes of one raw row, an error in its place where it makes nothing."""
        try:
            made = self._format(self._renamed(raw) if self._source.columns else raw)
        except RowError as cause:
            return [cause]
        several = list(made) if isinstance(made, list | tuple) else [made]
        return several or [Unused("nothing can be made of it")]

    def _finished(self, made: Any) -> Row | RowError:
        try:
            row = made.as_conversation() if isinstance(made, Answer) else made
            if isinstance(row, RowError):
                return row
            return self._checked(row if self._map is None else self._map(row))
        except RowError as cause:
            return cause

    def _checked(self, row: Any) -> Row:
        if not isinstance(row, self._row_types):
            needed = " or ".join(item.__name__ for item in self._row_types)
            raise Refusal(
                f"source {self._name!r} makes {type(row).__name__} rows, and {needed} rows are needed; "
                "set another `format`, or choose another dataset"
            )
        if self._filter is not None and not self._filter(row):
            raise Unused("filtered out")
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
            made = function(row)
            return list(made) if isinstance(made, Iterator) else made  # a generator fails only when it is run
        except RowError:
            raise
        except Exception as cause:
            raise Refusal(f"{plugin.target} failed with {type(cause).__name__}: {cause}") from cause

    return guarded
