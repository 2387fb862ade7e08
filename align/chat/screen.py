"""Screen: answers as they grow -> columns that are redrawn on a terminal, plain lines anywhere else."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from align.pipeline.redrawn import Redrawn

# What a terminal obeys, drawn as the sign for it: an answer may hold orders to move, delete or copy.
SIGNS = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t\r"}
SIGNS |= {ord("\r"): "", 0x7F: "\u2421", **dict.fromkeys(range(0x80, 0xA0), "\ufffd")}


class Screen(Redrawn):
    """One round of answers, a column per model. Models' text is never read as markup, nor obeyed."""

    def __init__(self, names: Sequence[str], console: Console) -> None:
        super().__init__(console)
        self._texts = dict.fromkeys(range(len(names)), "")
        self._names = names

    def show(self, place: int, text: str) -> None:
        """The answer of one model so far."""
        text = text.translate(SIGNS)
        before, self._texts[place] = self._texts[place], text
        if self._live:
            self._live.update(self._table(), refresh=True)
            return
        if not before:
            self._write(f"{self._names[place]}: ")
        self._write(text.removeprefix(before) if text.startswith(before) else f"\n{text}")

    def end(self, place: int) -> None:
        """The answer of one model is complete."""
        if not self._live:
            self._write("\n" if self._texts[place] else f"{self._names[place]}:\n")

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()

    def _table(self) -> Table:
        table = Table.grid(expand=True, padding=(0, 2))
        for _ in self._names:
            table.add_column(ratio=1)
        table.add_row(*(Text(name, style="bold cyan") for name in self._names))
        table.add_row(*(Text(self._texts[place]) for place in range(len(self._names))))
        return table
