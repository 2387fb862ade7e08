"""Session: what somebody types, line by line -> answers, and commands that begin with a slash.

Writes  the file that /save names: one conversation per model, in the `messages` format of datasets
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from align.artifacts.durable import write_text
from align.chat.screen import Screen
from align.data.errors import DataError

HELP = """/reset          forget the conversation
/system TEXT    what the models are told first; without TEXT, nothing
/save FILE      write the conversation, one JSON line per model
/help           this
/quit           end; so does the end of input"""


class Talker(Protocol):
    """A model that answers."""

    name: str
    turns: list[dict[str, str]]

    def answer(self, text: str, system: str | None, hear: Any) -> str:
        """Take a turn."""
        ...

    def reset(self) -> None:
        """Forget the conversation."""
        ...


class Session:
    """One conversation with one model or several, each of which hears its own answers only."""

    def __init__(self, partners: Sequence[Talker], console: Console, system: str | None = None) -> None:
        self._partners = partners
        self._console = console
        self._system = system

    def run(self, lines: Iterable[str]) -> None:
        """Answer until the lines end or somebody says /quit."""
        for line in lines:
            text = line.strip()
            if text.startswith("/"):
                if not self._command(text):
                    return
            elif text:
                self._ask(text)

    def _ask(self, text: str) -> None:
        with Screen([partner.name for partner in self._partners], self._console) as screen:
            for place, partner in enumerate(self._partners):
                try:
                    partner.answer(text, self._system, lambda told, place=place: screen.show(place, told))
                except DataError as problem:
                    screen.show(place, f"({problem})")
                screen.end(place)

    def _command(self, text: str) -> bool:
        """Obey; False where the session is over."""
        word, _, rest = text.partition(" ")
        if word == "/quit":
            return False
        if word == "/reset":
            self._forget("forgotten")
        elif word == "/system":
            self._system = rest.strip() or None
            self._forget("told first from now on" if self._system else "nothing is told first from now on")
        elif word == "/save":
            self._save(rest.strip())
        else:
            self._tell(HELP if word == "/help" else f"{word}: no such command\n{HELP}")
        return True

    def _forget(self, told: str) -> None:
        for partner in self._partners:
            partner.reset()
        self._tell(told)

    def _save(self, name: str) -> None:
        if not name:
            self._tell("/save needs the name of a file")
            return
        first = [{"role": "system", "content": self._system}] if self._system else []
        rows = [{"model": partner.name, "messages": [*first, *partner.turns]} for partner in self._partners]
        path = Path(name).expanduser()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        except OSError as problem:
            self._tell(f"not saved: {problem}")
            return
        self._tell(f"saved to {path}")

    def _tell(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)
