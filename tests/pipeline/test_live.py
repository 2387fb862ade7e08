"""What a person sees while a run goes on."""

import io
import json
from pathlib import Path

from rich.console import Console

from align.artifacts.metrics import TOTAL_STEPS, MetricsLog
from align.pipeline.live import TAIL_BYTES, Board, last_row, progress


def test_progress_is_the_newest_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert progress(path) == "preparing"
    log = MetricsLog(path)
    log.append(1, {"policy/loss": 2.5})
    assert progress(path) == "step 1, loss 2.5"
    path.unlink()
    log.append(0, {TOTAL_STEPS: 10}, "schedule")
    assert progress(path) == "step 0/10"
    log.append(2, {"policy/loss": 1.25})
    assert progress(path) == "step 2/10, loss 1.25"


def test_the_newest_row_is_found_at_the_end_of_a_long_file_with_a_torn_last_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [{"step": step, "padding": "x" * 50} for step in range(2 * TAIL_BYTES // 50)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 99')
    assert last_row(path) == rows[-1]
    path.write_text('{"step": 9')
    assert last_row(path) is None


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
        board.show("sft", "step 1/2")
        board.finish("sft", "ran", "sft-0123456789ab", 1.0)
    assert "step 1/2" in shown.getvalue() and "sft-0123456789ab" in shown.getvalue()
