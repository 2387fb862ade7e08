"""Memory and speed of reading many rows, as a table: peak above the interpreter, rows per second.

    python scripts/bench_data_memory.py --rows 5000000

Rows are written to a temporary folder, which is removed again: some 250 bytes each, and as much
again once they are read.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORDS = ("the", "fox", "owl", "river", "map", "lamp", "bread", "rain", "stone", "boat", "sees", "takes")
TEXT = " ".join(random.Random(0).choices(WORDS, k=200_000))
ROW_FORMATS = {"conversations": "alpaca", "pairs": "pairs"}
HELD_OUT = 0.01


def said(number: int, length: int) -> str:
    """Some characters of a long text, from another place for every number."""
    start = number * 104_729 % (len(TEXT) - length)
    return TEXT[start : start + length]


def raw_row(shape: str, number: int) -> dict[str, str]:
    """A row of its own, about as long as short real ones; every hundredth stood there before."""
    number -= number % 100 == 99
    asked = f"What of {number} and {said(number, 40)}?"
    if shape == "pairs":
        return {"prompt": asked, "chosen": said(number + 1, 60), "rejected": said(number + 2, 70)}
    return {"instruction": asked, "output": said(number + 1, 100)}


def write(path: Path, shape: str, rows: int) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(raw_row(shape, number)) + "\n" for number in range(rows))


def peak_mib() -> float:
    """Most memory this process ever had, shared pages of files included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def read(path: Path, shape: str, outputs: Path) -> dict[str, Any]:
    """Load the file as a stage does, and look at every row; in a process of its own."""
    from align.data.records import Conversation, PreferencePair
    from align.data.source import load_rows
    from align.data.spec import DataSpec, SourceSpec

    spec = DataSpec(
        sources={"rows": SourceSpec(path=str(path), format=ROW_FORMATS[shape])},
        held_out=HELD_OUT,
        max_rows=None,
    )
    before, started, used = peak_mib(), time.perf_counter(), cpu_seconds()
    rows = load_rows(
        spec, PreferencePair if shape == "pairs" else Conversation, outputs, control_tokens=["<s>"]
    )
    loaded, loaded_cpu = time.perf_counter() - started, cpu_seconds() - used
    seen = sum(1 for _ in rows.train) + sum(1 for _ in rows.held_out)
    return {
        "rows_in": rows.report.rows_in,
        "kept": rows.report.kept,
        "held_out": len(rows.held_out),
        "seen": seen,
        "seconds": loaded,
        "cpu_seconds": loaded_cpu,
        "seconds_of_looking": time.perf_counter() - started - loaded,
        "mib": peak_mib() - before,
    }


def measured(shape: str, rows: int) -> list[dict[str, Any]]:
    """The first reading of a file, and the second one, which finds the rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{shape}.jsonl"
        write(path, shape, rows)
        command = [sys.executable, __file__, "--read", str(path), shape, f"{folder}/outputs"]
        found = []
        for reading in ("first", "second"):
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            size = {"reading": reading, "shape": shape, "file_mib": path.stat().st_size / 2**20}
            found.append({**size, **json.loads(done.stdout)})
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--read", nargs=3, metavar=("FILE", "SHAPE", "OUTPUTS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        print(json.dumps(read(Path(given.read[0]), given.read[1], Path(given.read[2]))))
        return
    for shape in ROW_FORMATS:
        for item in measured(shape, given.rows):
            print(
                f"{item['shape']}, {item['reading']} reading of {item['rows_in']} rows "
                f"({item['file_mib']:.0f} MiB): {item['mib']:.0f} MiB above the interpreter, "
                f"{item['seconds']:.1f} s ({item['cpu_seconds']:.1f} s CPU, "
                f"{item['rows_in'] / item['cpu_seconds']:.0f} rows per CPU second), {item['kept']} kept, "
                f"{item['seconds_of_looking']:.1f} s to look at each"
            )


if __name__ == "__main__":
    main()
