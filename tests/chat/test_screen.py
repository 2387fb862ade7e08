"""What a model says reaches a terminal as letters: it moves no cursor and sets no title."""

import io

import pytest
from rich.console import Console

from align.chat.screen import Screen

SAID = "a\tb\n\x1b]0;mine\x07\x1b[2J\x9b31m\rc 가"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_an_answer_gives_the_terminal_no_orders(is_terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=is_terminal, color_system=None, width=60)
    with Screen(["model"], console) as screen:
        for end in range(1, len(SAID) + 1):
            screen.show(0, SAID[:end])
        screen.end(0)
    written = out.getvalue()
    assert not any(order in written for order in ("\x1b]", "\x1b[2J\x9b", "\x9b", "\x07"))
    assert "␛]0;mine␇" in written and "c 가" in written and "\n" in written
