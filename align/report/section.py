"""Section: what a report page is made of: a heading with an id, and blocks of one of a few kinds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from align.report.figures import Chart, Table


@dataclass(frozen=True)
class Block:
    """One thing below a heading. `kind` names the macro of the template that draws `content`."""

    kind: str
    content: Any
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A heading, a sentence or two about it, and its blocks."""

    id: str
    title: str
    lead: str
    blocks: list[Block] = field(default_factory=list)


def charts(found: Sequence[Chart], title: str = "", note: str = "") -> Block:
    """Charts side by side where there is room, small ones where they share a title; one alone is wide."""
    return Block("charts", found, title, note)


def table(found: Table, title: str = "", note: str = "") -> Block:
    """A table that is always open."""
    return Block("table", found, title, note)


def folded(found: Table, title: str) -> Block:
    """A table that opens on demand."""
    return Block("folded", found, title)
