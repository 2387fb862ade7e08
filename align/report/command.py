"""Command: places on disk -> report.html beside them.

Writes  <run folder>/report.html, or the file that --to names; <run folder>/cards/<stage>.md
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from align.artifacts.durable import write_text
from align.report.collect import ReportError, collect
from align.report.model_card import model_cards
from align.report.page import render

FILE, CARDS = "report.html", "cards"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a report and print its path; 2 where there is nothing to report on."""
    given = _parser().parse_args(arguments)
    try:
        facts = collect(given.places)
        page = render(facts, datetime.now())
    except ReportError as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    target = given.to or _usual_place(given.places)
    target = target / FILE if target.is_dir() else target
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, page)
    if target.parent == facts.folder and (facts.folder / "run.json").is_file():
        (facts.folder / CARDS).mkdir(exist_ok=True)
        for name, card in model_cards(facts):
            write_text(facts.folder / CARDS / f"{name}.md", card)
    sys.stdout.write(f"{target}\n")
    return 0


def _usual_place(places: Sequence[Path]) -> Path:
    """In the run folder; here for anything else, as artifacts are never written to again."""
    return places[0] / FILE if len(places) == 1 and (places[0] / "run.json").is_file() else Path(FILE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python scripts/report.py",
        description="One HTML page over finished runs, artifacts or models; it needs no network.",
    )
    parser.add_argument(
        "places",
        nargs="+",
        type=Path,
        help="run folders (outputs/runs/quickstart-0001), artifacts, model folders, <Hub id>[@<revision>]",
    )
    parser.add_argument(
        "--to", type=Path, help=f"the file (or folder) to write to; else {FILE} in the run folder, or here"
    )
    return parser
