"""Problem: what is wrong at one place of a config; ConfigError: all of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SHOWN = 80  # characters of a refused value that a message repeats


@dataclass(frozen=True)
class Problem:
    """One mistake: the keys that lead to it, and what to do about it."""

    path: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.message}" if self.path else self.message


class ConfigError(ValueError):
    """Every problem in a config, one per line, each with its dotted path."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def shown(value: Any) -> str:
    """A refused value, short enough for one line."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
