"""Card review: all cards of a folder -> which hold, against what each was checked, and what is wrong.

Reads   cards, and those of their files that lie in the data folder; nothing is fetched
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from align.data.card import CARDS
from align.data.card_schema import read_card
from align.data.errors import DataError
from align.data.verification import file_problems


@dataclass(frozen=True)
class Review:
    """What became of one card; `against` says what it was held against."""

    card: Path
    against: str
    problems: tuple[str, ...]


def main() -> int:
    """Check the cards of this project; the exit code is 2 where one does not hold."""
    parser = argparse.ArgumentParser(description="Check every data card; nothing is fetched.")
    parser.add_argument("--cards", type=Path, default=CARDS, help="folder of cards (default: data_cards/)")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("ALIGN_DATA", "data")),
        help="folder of the datasets (default: ALIGN_DATA, else data/)",
    )
    given = parser.parse_args()
    return review_cards(given.cards, given.data)


def review_cards(cards: Path, data: Path) -> int:
    """Check every card, print the outcome, and return the exit code: 2 where something is wrong."""
    console = Console()
    reviews = [review(path, data) for path in sorted(cards.glob("*.md"))]
    table = Table("card", "checked against", "outcome")
    for done in reviews:
        table.add_row(
            done.card.stem, done.against, f"{len(done.problems)} problems" if done.problems else "ok"
        )
    console.print(table)
    for problem in (problem for done in reviews for problem in done.problems):
        console.print(problem, markup=False, highlight=False, soft_wrap=True)
    if not reviews:
        console.print(f"{cards}: holds no cards", markup=False)
    return 2 if not reviews or any(done.problems for done in reviews) else 0


def review(path: Path, data: Path) -> Review:
    """Check one card: its fields always, its rows where all its files are in the data folder."""
    try:
        facts = read_card(path).align
    except DataError as cause:
        return Review(path, "schema", tuple(str(cause).splitlines()))
    if facts.hub is not None:
        return Review(path, "schema only (on the Hub)", ())
    if not all((data / stated.path).is_file() for stated in facts.files):
        return Review(path, f"schema only (not in {data})", ())
    found = [
        f"{path}: align.{problem}"
        for index, stated in enumerate(facts.files)
        for problem in file_problems(f"files[{index}]", stated, facts.columns, data / stated.path)
    ]
    return Review(path, "files, rows and columns", tuple(found))
