"""A folder is made once, made again where its maker died, and removed where nobody uses it."""

import os
import time
from pathlib import Path

import pytest

from align.artifacts.lock import acquire
from align.artifacts.once import made_once, sweep

DAY = 86_400


def test_only_the_first_makes_it(tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "content").write_text("x")
        (folder / "mark").write_text("done")

    folders = {made_once(tmp_path / "a", "mark", make) for _ in range(3)}
    assert folders == {tmp_path / "a"} and len(made) == 1


def test_what_a_dead_maker_left_is_made_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        (folder / "inner").mkdir()
        (folder / "inner" / "half").write_text("x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        made_once(tmp_path / "a", "mark", fail)
    folder = made_once(tmp_path / "a", "mark", lambda folder: (folder / "mark").touch())
    assert (folder / "mark").exists() and not (folder / "half").exists() and not (folder / "inner").exists()


def test_unused_folders_go_and_others_stay(tmp_path: Path) -> None:
    for name in ("old", "new", "held"):
        made_once(tmp_path / name, "mark", lambda folder: (folder / "mark").touch())
    held = acquire(tmp_path / "held")
    for name in ("old", "held"):
        os.utime(tmp_path / name, (time.time() - 9 * DAY,) * 2)
    assert sweep(tmp_path, days=8) == [tmp_path / "old"]
    assert {path.name for path in tmp_path.iterdir()} == {"new", "held"}
    held.release("complete")
    assert sweep(tmp_path / "nowhere") == []
    made_once(tmp_path / "held", "mark", lambda folder: pytest.fail("made again"))  # and is in use again
    assert sweep(tmp_path, days=8) == []
