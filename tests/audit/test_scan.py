"""Scanning in several processes finds what one process finds."""

from align.audit.scan import BLOCK, scan
from align.data.records import Conversation, Message, Row

SUITES = {"exam": ["Why is the sky blue?", "Who are you?"], "other": ["Name the seven seas of the old world"]}


def row(asked: str, answer: str) -> Row:
    return Conversation((Message("user", asked), Message("assistant", answer)))


def rows(count: int) -> list[Row]:
    """Ordinary rows; a leak and an address stand in some."""
    found = [row(f"Question {number}", f"Answer {number}") for number in range(count)]
    for place in (3, BLOCK + 1):
        found[place] = row("why is the sky blue", "Ask a@b.org or c@d.org")
    found[5] = row("who are YOU", "They asked me: who are you?")
    return found


def test_rows_are_counted_once_and_places_are_kept() -> None:
    found = scan(rows(BLOCK + 50), SUITES, workers=1)
    assert (found.rows, found.leaking_rows, found.personal_rows) == (BLOCK + 50, 3, 2)
    assert found.leaks["exam"].rows == 3 and found.leaks["other"].rows == 0
    assert found.leaks["exam"].examples == [(3, 0), (5, 1), (BLOCK + 1, 0)]
    assert dict(found.leaks["exam"].prompts) == {0: 2, 1: 1}
    assert dict(found.personal) == {"email": 4}
    assert found.personal_examples == {"email": [3, BLOCK + 1]}


def test_processes_change_nothing() -> None:
    several = rows(3 * BLOCK)
    assert scan(several, SUITES, workers=2) == scan(several, SUITES, workers=1)


def test_what_is_not_asked_for_is_not_looked_for() -> None:
    found = scan(rows(BLOCK + 50), {}, with_personal_data=False, workers=1)
    assert not found.leaks and not found.leaking_rows and not found.personal
