"""Graph: stages and what they are built on -> boxes and arrows, placed for a wide or for a narrow screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from align.report.collect import EARLIER, StageFacts
from align.report.figures import colour_of
from align.report.words import duration

BOX = (150, 58)
GAPS = {"wide": (46, 22), "narrow": (18, 40)}  # between boxes, across and down
MARGIN = 4
TIP = 5  # of an arrow, which stops that far before its box


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
    inputs = {stage.folder.name: _inputs(stage, stages) for stage in stages}
    levels = _levels(inputs)
    ways = [_way(parent, name, levels) for name, parents in inputs.items() for parent in parents]
    rows: dict[int, list[str]] = {}
    for name, level in levels.items():
        rows.setdefault(level, []).append(name)
    for way in ways:
        for step, level in zip(way[1:-1], range(levels[way[0]] + 1, levels[way[-1]]), strict=True):
            rows[level].append(step)
    depth, crowd = len(rows), max(map(len, rows.values()), default=1)
    gap_x, gap_y = GAPS[layout]
    places: dict[str, tuple[float, float]] = {}
    for level, row in rows.items():
        for number, name in enumerate(row):
            along, across = level, number + (crowd - len(row)) / 2
            column, line = (along, across) if layout == "wide" else (across, along)
            places[name] = (MARGIN + column * (BOX[0] + gap_x), MARGIN + line * (BOX[1] + gap_y))
    boxes = tuple(_box(stage, *places[stage.folder.name]) for stage in stages)
    arrows = tuple(_arrow([places[name] for name in way], layout) for way in ways)
    columns, lines = (depth, crowd) if layout == "wide" else (crowd, depth)
    width = 2 * MARGIN + columns * BOX[0] + (columns - 1) * gap_x
    return Graph(layout, width, 2 * MARGIN + lines * BOX[1] + (lines - 1) * gap_y, boxes, arrows)


def _way(parent: str, name: str, levels: Mapping[str, int]) -> list[str]:
    """From one box to another, with a free place on every level between, so that no box is crossed."""
    between = range(levels[parent] + 1, levels[name])
    return [parent, *(f"{parent} > {name} at {level}" for level in between), name]


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


def _arrow(places: Sequence[tuple[float, float]], layout: str) -> str:
    """A curve from the first place's edge to the last one's, straight through free places between."""
    wide = layout == "wide"
    path = ""
    for (x, y), (to_x, to_y) in pairwise(places):
        start = (x + BOX[0], y + BOX[1] / 2) if wide else (x + BOX[0] / 2, y + BOX[1])
        end = (to_x - TIP, to_y + BOX[1] / 2) if wide else (to_x + BOX[0] / 2, to_y - TIP)
        half = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        bends = [(half[0], start[1]), (half[0], end[1])] if wide else [(start[0], half[1]), (end[0], half[1])]
        path += f"{'L' if path else 'M'}{_point(start)} C{' '.join(map(_point, [*bends, end]))} "
    return path.strip()


def _point(place: tuple[float, float]) -> str:
    return f"{place[0]:.0f} {place[1]:.0f}"
