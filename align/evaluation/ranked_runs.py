"""Ranked runs: finished evaluations, or published verdicts -> one leaderboard. Torch-free.

Reads   runs/<name>/evaluate/comparisons.jsonl, annotations of AlpacaEval
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from align.artifacts.durable import write_json
from align.artifacts.store import ArtifactDir
from align.data.errors import DataError
from align.evaluation.constant import Flag
from align.evaluation.judged import Judged, read_judged
from align.evaluation.leaderboard import leaderboards
from align.evaluation.leaderboard_table import leaderboard_tables
from align.evaluation.published import published

RESAMPLES = 2000


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the leaderboards over all that is named; checkpoints of one name are taken for the same."""
    parser = argparse.ArgumentParser(
        prog="python scripts/leaderboard.py", description="One leaderboard over several evaluations."
    )
    parser.add_argument("sources", nargs="+", type=Path, help="run folders, or annotations of AlpacaEval")
    parser.add_argument("--json", type=Path, help="write what is printed to this file as well")
    given = parser.parse_args(arguments)
    matches: list[Judged] = []
    flags: list[Flag] = []
    try:
        for source in given.sources:
            found, warned = _read(source)
            matches += found
            flags += warned
    except DataError as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    boards = leaderboards(matches, flags=flags, resamples=RESAMPLES, seed=0)
    content = {"leaderboards": boards, "flags": flags}
    for entry in leaderboard_tables(content):
        Console().print(entry)
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        write_json(given.json, content)
    return 0


def _read(source: Path) -> tuple[list[Judged], list[Flag]]:
    if source.is_file():
        match, flags = published(source)
        return [match], flags
    folder = ArtifactDir(source / "evaluate")
    if not folder.comparisons.exists():
        raise DataError(f"{source}: no comparisons in {folder.path}; an evaluation with `judges` leaves some")
    return read_judged(folder.comparisons), list(_flags(folder))


def _flags(folder: ArtifactDir) -> Iterator[Flag]:
    yield from json.loads(folder.leaderboards.read_text(encoding="utf-8"))["flags"]
