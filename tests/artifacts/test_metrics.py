"""metrics.jsonl survives crashes and resumes."""

import json
import math
from pathlib import Path

from align.artifacts.metrics import MetricsLog, final_values, read_metrics


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "new" / "metrics.jsonl")
    log.append(1, {"policy/loss": 2.0})
    log.append(1, {"loss": 1.5}, split="held_out")
    log.append(2, {"policy/loss": 1.0, "dpo/margin": math.nan})
    rows = read_metrics(log.path)
    assert [(row["step"], row["split"]) for row in rows] == [(1, "train"), (1, "held_out"), (2, "train")]
    assert rows[0]["time"] <= rows[2]["time"]
    assert rows[2]["dpo/margin"] is None
    assert final_values(log.path) == {"policy/loss": 1.0, "held_out/loss": 1.5}


def test_every_line_is_strict_json(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.append(1, {"a": math.inf, "b": -math.inf, "c": math.nan})

    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(log.path.read_text(), parse_constant=refuse)["a"] is None


def test_a_torn_line_is_left_out_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.append(1, {"loss": 2.0})
    with log.path.open("a") as stream:
        stream.write('{"step": 2, "lo')
    assert [row["step"] for row in read_metrics(log.path)] == [1]
    log.append(3, {"loss": 1.0})
    assert [row["step"] for row in read_metrics(log.path)] == [1, 3]


def test_no_file_is_no_rows(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "nothing.jsonl") == []
    assert final_values(tmp_path / "nothing.jsonl") == {}
