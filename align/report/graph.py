"""Graph: stages and what they are built on -> boxes and arrows, placed for a wide or for a narrow screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from align.report.collect import EARLIER, StageFacts
from align.report.figures import colour_of
from align.report.words import duration

BOX = (150, 58)
GAPS = {"wide": (46, 22), "narrow": (18, 40)}  # between boxes, across and down
MARGIN = 4


@dataclass(frozen=True)
class Box:
    """A stage at its place; `told` is its status and time."""

    name: str
    told: str
    colour: str
    is_earlier: bool
    x: float
    y: float


@dataclass(frozen=True)
class Graph:
    """Boxes, and the paths of arrows between them, in a drawing of this size."""

    layout: str
    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[str, ...]


def graph(stages: Sequence[StageFacts], layout: str) -> Graph:
    """Place the stages in levels: `wide` from left to right, `narrow` from top to bottom."""
    levels = _levels({stage.folder.name: _inputs(stage, stages) for stage in stages})
    depth = max(levels.values(), default=0) + 1
    crowd = max(list(levels.values()).count(level) for level in range(depth))
    gap_x, gap_y = GAPS[layout]
    places: dict[str, tuple[float, float]] = {}
    for level in range(depth):
        row = [name for name, own in levels.items() if own == level]
        for number, name in enumerate(row):
            along, across = level, number + (crowd - len(row)) / 2
            column, line = (along, across) if layout == "wide" else (across, along)
            places[name] = (MARGIN + column * (BOX[0] + gap_x), MARGIN + line * (BOX[1] + gap_y))
    boxes = tuple(_box(stage, *places[stage.folder.name]) for stage in stages)
    arrows = tuple(
        _arrow(places[parent], places[stage.folder.name], layout)
        for stage in stages
        for parent in _inputs(stage, stages)
    )
    across, down = (depth, crowd) if layout == "wide" else (crowd, depth)
    width = 2 * MARGIN + across * BOX[0] + (across - 1) * gap_x
    return Graph(layout, width, 2 * MARGIN + down * BOX[1] + (down - 1) * gap_y, boxes, arrows)


def _inputs(stage: StageFacts, stages: Sequence[StageFacts]) -> list[str]:
    """The nearest of what it reads: an arrow that follows from others would only cross them."""
    known = {other.folder.name: other for other in stages}
    parents = [name for name in stage.parents.values() if name in known]
    implied = {name for parent in parents for name in _ancestors(known[parent], known)}
    return [name for name in parents if name not in implied]


def _ancestors(stage: StageFacts, known: Mapping[str, StageFacts]) -> set[str]:
    found = set(stage.parents.values()) & set(known)
    return found.union(*(_ancestors(known[name], known) for name in found))


def _levels(inputs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Stage -> how many stages the longest way to it has."""
    found: dict[str, int] = {}

    def level(name: str) -> int:
        if name not in found:
            found[name] = max((level(parent) + 1 for parent in inputs[name]), default=0)
        return found[name]

    return {name: level(name) for name in inputs}


def _box(stage: StageFacts, x: float, y: float) -> Box:
    took = duration(stage.built_in) if stage.built_in else ""
    told = " · ".join(part for part in (stage.status, took) if part)
    return Box(stage.name, told, colour_of(stage.kind), stage.status in ("cached", EARLIER), x, y)


def _arrow(start: tuple[float, float], end: tuple[float, float], layout: str) -> str:
    """A curve from one box's edge to the next one's."""
    if layout == "wide":
        x, y = start[0] + BOX[0], start[1] + BOX[1] / 2
        to_x, to_y = end[0] - 5, end[1] + BOX[1] / 2
        middle = (x + to_x) / 2
        return f"M{x:.0f} {y:.0f} C{middle:.0f} {y:.0f} {middle:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
    x, y = start[0] + BOX[0] / 2, start[1] + BOX[1]
    to_x, to_y = end[0] + BOX[0] / 2, end[1] - 5
    middle = (y + to_y) / 2
    return f"M{x:.0f} {y:.0f} C{x:.0f} {middle:.0f} {to_x:.0f} {middle:.0f} {to_x:.0f} {to_y:.0f}"
