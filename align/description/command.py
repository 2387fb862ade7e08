"""Command: the words behind `describe_data.py` -> what they ask for, and what went wrong in a line."""

import argparse
import os
import sys
from pathlib import Path

from pydantic import ValidationError

from align.config.problem import ConfigError
from align.data.errors import DataError
from align.data.formats.table import FORMATS


def main() -> int:
    """Describe datasets; the exit code is 2 where one cannot be."""
    given = _arguments().parse_args()
    # Not at import: tokenizers and what measures take seconds, which --help need not wait for.
    from align.description.describe import describe  # noqa: PLC0415

    try:
        describe(given)
    except (ConfigError, DataError, OSError, ValidationError, ValueError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Measure datasets and begin their cards, or bring the measured part of a card up to date."
    )
    parser.add_argument("names", nargs="+", help="names of conf/data, or paths of files")
    parser.add_argument("--write", action="store_true", help="write data_cards/<name>.md, print nothing")
    parser.add_argument("--tokenizer", help="folder or Hub id; default: one trained on the rows themselves")
    parser.add_argument("--max-length", type=int, help="tokens; tells how many rows of a language are longer")
    parser.add_argument("--format", choices=FORMATS, help="of files that have no configuration")
    parser.add_argument("--languages", nargs="+", help="expected; default: the card's, else en and ko")
    parser.add_argument("--against", nargs="+", default=[], help="evaluation sets whose prompts to look for")
    parser.add_argument("--no-sample", dest="sample", action="store_false", help="show no row in the card")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("ALIGN_DATA", "data")),
        help="folder of the datasets (default: ALIGN_DATA, else data/)",
    )
    return parser
