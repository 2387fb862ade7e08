"""Ballot sheet: a finished evaluation -> pairs of answers for people to vote on, without names. Torch-free.

Reads   runs/<name>/evaluate/samples.jsonl
Writes  a JSONL file: `item`, `prompt`, `first`, `second`, and to be filled in `annotator` and `verdict`
        (first, second or tie); `judge=ballots` reads it back
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from align.artifacts.durable import write_text
from align.artifacts.json_lines import read_json_lines
from align.artifacts.store import ArtifactDir
from align.config.suggest import did_you_mean
from align.data.records import Message, Prompt
from align.judges.ballots import item_of
from align.judges.source import Comparison

Ballot = dict[str, str]


def ballots(samples: Path, pair: tuple[str, str], suite: str | None, most: int) -> list[Ballot]:
    """At most `most` pairs of different answers of two checkpoints, each once, by their texts alone."""
    found = {ballot["item"]: ballot for ballot in _ballots(samples, pair, suite)}
    return [found[item] for item in sorted(found)[:most]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sheet for two checkpoints of a run."""
    parser = argparse.ArgumentParser(
        prog="python scripts/ballots.py", description="Pairs of answers for people to vote on."
    )
    parser.add_argument("run", type=Path, help="a run folder, as outputs/runs/quickstart-0001")
    parser.add_argument("pair", nargs=2, help="two checkpoints of its evaluation, as sft dpo")
    parser.add_argument("sheet", type=Path, help="the file to write, as votes.jsonl")
    parser.add_argument("--suite", help="of this suite only")
    parser.add_argument("--most", type=int, default=100, help="how many pairs")
    given = parser.parse_args(arguments)
    samples = ArtifactDir(given.run / "evaluate").samples
    if not samples.exists():
        sys.stderr.write(f"no evaluation in {given.run}\n")
        return 2
    if given.sheet.exists():
        sys.stderr.write(f"{given.sheet} exists, with votes perhaps; name another file\n")
        return 2
    sheet = ballots(samples, tuple(given.pair), given.suite, given.most)
    if not sheet:
        known = sorted({name for row in read_json_lines(samples) for name in row["completions"]})
        unknown = [f"{name}{did_you_mean(name, known)}" for name in given.pair if name not in known]
        told = f"has no different answers of {' and '.join(given.pair)}"
        if unknown:
            told = f"has no checkpoint {', no '.join(unknown)} ({', '.join(known)})"
        sys.stderr.write(f"{given.run} {told}\n")
        return 2
    write_text(given.sheet, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in sheet))
    sys.stdout.write(f"{len(sheet)} pairs to vote on: {given.sheet}\n")
    return 0


def _ballots(samples: Path, pair: tuple[str, str], suite: str | None) -> Iterator[Ballot]:
    for row in read_json_lines(samples):
        texts = [row["completions"][name]["text"] for name in pair if name in row["completions"]]
        if (suite is not None and row["suite"] != suite) or len(set(texts)) < 2:
            continue
        messages = tuple(Message(**turn) for turn in row["prompt"])
        # Which answer comes first follows from the two, so that neither checkpoint does so more often.
        first, second = sorted(texts, key=lambda text: hashlib.sha256(text.encode("utf-8")).digest())
        yield {
            "item": item_of(Comparison(Prompt(messages), first, second)),
            "prompt": "\n\n".join(turn.content for turn in messages),
            "first": first,
            "second": second,
            "annotator": "",
            "verdict": "",
        }
