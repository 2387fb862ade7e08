"""Memory stays flat while many rows are read: below 1 GiB above the interpreter for 5 million of them."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "scripts" / "bench_data_memory.py"
MOST = 1024  # MiB, of 5 million rows
MANY = 5_000_000
SHAPES = pytest.mark.parametrize("shape", ["conversations", "pairs"])


def readings(shape: str, rows: int) -> list[dict[str, Any]]:
    spec = importlib.util.spec_from_file_location("bench_data_memory", BENCH)
    assert spec is not None and spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    return bench.measured(shape, rows)


def hold(shape: str, rows: int) -> None:
    first, second = readings(shape, rows)
    for found in (first, second):
        assert found["rows_in"] == rows and found["kept"] == found["seen"] == rows - rows // 100
        assert 0.008 * rows < found["held_out"] < 0.012 * rows
        assert found["mib"] < MOST * rows / MANY
    assert second["cpu_seconds"] < first["cpu_seconds"] / 4, "the second reading finds the rows"


@SHAPES
def test_two_hundred_thousand_rows_need_their_share_of_the_bound(shape: str) -> None:
    hold(shape, 200_000)


@pytest.mark.slow
@SHAPES
def test_five_million_rows_stay_below_a_gibibyte(shape: str) -> None:
    hold(shape, MANY)
