"""Sources: what stages read, as they counted it, and the data cards of it.

Reads   data.json of an artifact, data_cards/*.md, cards beside generated files
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from align.data.card import CARDS
from align.data.card_schema import Card, read_card
from align.data.errors import DataError
from align.report.collect import StageFacts


def sources(stage: StageFacts) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(part, source, its report) of everything a stage read; an evaluation's parts are its suites."""
    for part, name, source in _sources_below(stage.data or {}, ""):
        yield part.removeprefix("suites/").removeprefix("loaded"), name, source


def _sources_below(found: Mapping[str, Any], part: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for key, value in found.items():
        if key == "sources" and isinstance(value, dict):
            for name, source in value.items():
                yield part, name, source
        elif isinstance(value, dict):
            yield from _sources_below(value, f"{part}/{key}".removeprefix("/"))


def card_of(source: Mapping[str, Any]) -> Card | None:
    """The data card of a source; None where it has none, or it cannot be read."""
    if not source.get("card"):
        return None
    named, origin = Path(str(source["card"])), Path(str(source.get("origin") or ""))
    for place in (named, origin.parent / named.name, CARDS / named.name, CARDS / f"{named.name}.md"):
        if place.is_file():
            try:
                return read_card(place)
            except DataError:
                return None
    return None
