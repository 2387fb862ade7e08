"""Alarms: what a stage's log warns of -> every warning once, how often and from when to when.

Reads   log/rank-0.txt
"""

import re
from dataclasses import dataclass
from pathlib import Path

ALARM = re.compile(r"alarm at (step|update) (\d+): (.*)")
FIGURE = re.compile(r"\d[\d.,]*")  # the same warning has other figures every time


@dataclass(frozen=True)
class Alarm:
    """A sentence that a stage logged about itself; `text` is what it said last, `unit` what it counts in."""

    stage: str
    unit: str
    first: int
    last: int
    count: int
    text: str

    @property
    def when(self) -> str:
        """`at update 12`, or `at updates 14 to 53, 10 times`."""
        if self.count == 1:
            return f"at {self.unit} {self.first:,}"
        return f"at {self.unit}s {self.first:,} to {self.last:,}, {self.count:,} times"


def alarms_in(log: Path, stage: str) -> list[Alarm]:
    """The warnings of one log in the order of their beginnings; none where there is no log."""
    if not log.exists():
        return []
    found: dict[str, Alarm] = {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := ALARM.fullmatch(line):
            unit, step, text = match[1], int(match[2]), match[3]
            key = FIGURE.sub("#", text)
            before = found.get(key)
            first, count = (before.first, before.count) if before else (step, 0)
            found[key] = Alarm(stage, unit, first, step, count + 1, text)
    return list(found.values())
