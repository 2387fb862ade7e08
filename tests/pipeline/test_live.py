"""What a person sees while a run goes on."""

import io
import json
from pathlib import Path

from rich.console import Console

from align.artifacts.metrics import TOTAL_STEPS, MetricsLog
from align.pipeline.live import TAIL_BYTES, Board, Progress, newest_rows, progress


def test_progress_is_the_newest_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert progress(path).text == "preparing"
    log = MetricsLog(path)
    log.append(1, {"policy/loss": 2.5})
    assert progress(path).text == "step 1, loss 2.5"
    path.unlink()
    log.append(0, {TOTAL_STEPS: 10}, "schedule")
    assert progress(path).text == "step 0/10"
    log.append(2, {"policy/loss": 1.25})
    assert progress(path).text == "step 2/10, loss 1.25"


def test_the_newest_row_is_found_at_the_end_of_a_long_file_with_a_torn_last_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [{"step": step, "padding": "x" * 50} for step in range(2 * TAIL_BYTES // 50)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 99')
    assert newest_rows(path)[-1] == rows[-1]
    path.write_text('{"step": 9')
    assert newest_rows(path) == []


def test_what_is_left_follows_from_the_speed_since_the_stage_started(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [
        {"step": 0, "time": 10.0, TOTAL_STEPS: 10},
        {"step": 4, "time": 1000.0},
        {"step": 6, "time": 1005.0},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = progress(path, since=990.0)  # the first line is of a run that was interrupted
    assert (found.share, found.seconds_left) == (0.6, 10.0)
    assert progress(path, since=1001.0).seconds_left is None


def test_a_line_tells_what_is_left_of_the_stage_and_with_what_follows() -> None:
    shown = io.StringIO()
    with Board(["sft", "dpo", "evaluate"], Console(file=shown, width=100)) as board:
        board.expect({"sft": 50.0, "dpo": 100.0, "evaluate": None})
        board.start("sft")
        board.show("sft", "loading", at_once=True)
        board.show("sft", Progress("step 5/10", 0.5, 30.0), at_once=True)
        board.finish("sft", "ran", "sft-0123456789ab", 60.0)
        board.start("evaluate")
        board.show("evaluate", Progress("step 1/2", 0.5, 7.0), at_once=True)
    lines = shown.getvalue().splitlines()
    assert "loading, 0 s, 50 s left, at least 2 min with what follows" in lines[0]
    assert "step 5/10, 0 s, 30 s left, at least 2 min with what follows" in lines[1]
    assert lines[3].endswith("step 1/2, 0 s, 7 s left, 2 min with what follows")


def test_without_a_terminal_a_stage_is_one_plain_line() -> None:
    shown = io.StringIO()
    with Board(["sft", "evaluate"], Console(file=shown, width=100)) as board:
        board.start("sft")
        board.show("sft", "step 1/2")
        board.finish("sft", "ran", "sft-0123456789ab", 12.34)
        board.start("evaluate")
        board.finish("evaluate", "cached", "evaluate-0123456789ab", 0.0)
    assert shown.getvalue().splitlines() == [
        "sft       ran      sft-0123456789ab  12.3 s",
        "evaluate  cached   evaluate-0123456789ab",
    ]


def test_on_a_terminal_the_line_is_redrawn() -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=100, force_terminal=True)
    with Board(["sft"], console) as board:
        board.start("sft")
        board.show("sft", Progress("step 1/2", 0.5))
        board.finish("sft", "ran", "sft-0123456789ab", 1.0)
    assert "step 1/2" in shown.getvalue() and "sft-0123456789ab" in shown.getvalue()
    assert "━" * 10 in shown.getvalue()
