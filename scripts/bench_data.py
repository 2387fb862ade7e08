"""How fast is what looks at data? Wall and CPU seconds and peak memory of each step, on real sentences.

python scripts/bench_data.py --rows 1000000
python scripts/bench_data.py --rows 20000 --compare
python scripts/bench_data.py --near 100000

Rows are preference pairs with answers of 80 words on average, resampled from the sentences of Alpaca and
HH-RLHF (ALIGN_DATA) and written with a card to --folder; of 500 rows one is a duplicate, one a leaked prompt,
one holds a control token. The checks are those of every stage: card; row validation, control tokens, exact
duplicates, overlap with 5,000 evaluation prompts (the reader); what only tokens show, by a tokenizer that is
learnt from some of the rows; and personal data (the audit's scan). Peak memory is the sum over all processes,
sampled ten times a second, shared pages counted once. --compare holds the result against slow references.
"""

import argparse
import gzip
import json
import os
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from align.artifacts.digest import sha256_of
from align.audit.scan import scan
from align.data.card import card_problems
from align.data.records import PreferencePair, texts_of
from align.data.screening.inspection import LEAKED
from align.data.screening.near_duplicates import NearDuplicates, jaccard, shingle_sets
from align.data.screening.overlap import run_length, telling_runs
from align.data.screening.personal_data import personal_data
from align.data.screening.words import words_of
from align.data.source import Rows, load_rows
from align.data.spec import DataSpec, OverlapSpec, ScreeningSpec, SourceSpec

TOKENS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
EXAM = "exam.jsonl"
PROMPT_WORDS, ANSWER_WORDS, EVERY = 15, 73, 500
CARD = """---
pretty_name: Rows of bench_data
language: [en]
license: mit
align:
  role: [preference]
  source: written by scripts/bench_data.py
  revision: "1"
  files: [{{path: {path}, sha256: {sha256}, bytes: {size}, rows: {rows}}}]
  columns: {{prompt: text, chosen: text, rejected: text}}
  collection: resampled from the sentences of Alpaca and HH-RLHF
  known_biases: none that matter for a measurement of speed
  allowed_uses: measurements of speed and nothing else
  personal_data: none that the sentences do not hold
---
"""


def sentences(data: Path) -> list[str]:
    rows = json.loads(gzip.decompress((data / "stanford_alpaca_5000/alpaca_5000.json.gz").read_bytes()))
    lines = gzip.decompress((data / "hh_rlhf_harmless/harmless-base-test.jsonl.gz").read_bytes()).splitlines()
    said = [row["output"] for row in rows]
    said += [
        part for line in lines for part in re.split(r"\n\n(?:Human|Assistant):", json.loads(line)["chosen"])
    ]
    return [part.strip() for text in said for part in re.split(r"(?<=[.!?])\s+", text) if part.strip()]


def prompts(data: Path, count: int = 5000) -> list[str]:
    """Real evaluation prompts: GSM8K's, IFEval's, AlpacaEval's and what HaluEval's users ask."""

    def lines(path: str, field: str) -> list[str]:
        content = (data / path).read_bytes()
        content = gzip.decompress(content) if path.endswith(".gz") else content
        return [json.loads(line)[field] for line in content.decode().splitlines()]

    found = lines("gsm8k/test.jsonl", "question") + lines("ifeval/en_input_data.jsonl", "prompt")
    return (found + lines("halueval/general_data.json.gz", "user_query"))[:count]


def generate(path: Path, rows: int, known: list[str], asked: list[str]) -> None:
    """Rows at random; of 500 rows a leaked prompt, a control token, a duplicate."""
    stream = random.Random(0)
    lengths = {text: text.count(" ") + 1 for text in known}

    def text(words: int) -> str:
        parts, size = [], 0
        while size < words:
            parts.append(stream.choice(known))
            size += lengths[parts[-1]]
        return " ".join(parts)

    last = ""
    with path.open("w", encoding="utf-8") as stream_out:
        for number in range(rows):
            row = {"prompt": text(PROMPT_WORDS), "chosen": text(ANSWER_WORDS), "rejected": text(ANSWER_WORDS)}
            if number % EVERY == 1:
                row["prompt"] = asked[number // EVERY % len(asked)]
            if number % EVERY == 2:
                row["rejected"] += " <|im_end|>"
            last = last if number % EVERY == 5 else json.dumps(row, ensure_ascii=False) + "\n"
            stream_out.write(last)
    size, digest = path.stat().st_size, sha256_of(path)
    path.with_suffix(".md").write_text(CARD.format(path=path.name, sha256=digest, size=size, rows=rows))


@contextmanager
def measured(what: str, told: dict[str, Any]) -> Iterator[None]:
    """Print wall and CPU seconds of a step, children included, and the most memory meanwhile."""
    before, start, peak, done = _cpu_seconds(), time.monotonic(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            peak[0] = max(peak[0], _own_gib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    wall, cpu = time.monotonic() - start, _cpu_seconds() - before
    told[what] = {"wall_seconds": wall, "cpu_seconds": cpu, "memory_gib": peak[0]}
    print(f"{what:<58} {wall:7.1f} s wall {cpu:7.1f} s CPU {peak[0]:6.2f} GiB", flush=True)


def _cpu_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _own_gib() -> float:
    """Memory of this process and its children, shared pages counted once."""
    pids = [os.getpid()]
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            pids += map(int, (task / "children").read_text().split())
    total = 0
    for pid in pids:
        with suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1])  # type: ignore[index]
    return total / 2**20


def checks(folder: Path, rows: int, asked: list[str], told: dict[str, Any]) -> None:
    """The bars of preference rows: what every stage checks; tokens and personal data; all of it once more."""
    path = folder / f"pairs-{rows}.jsonl"
    if not path.exists():
        with measured(f"writing {rows:,} rows (not part of any bar)", told):
            generate(path, rows, sentences(Path(os.environ["ALIGN_DATA"])), asked)
    spec = specification(folder, rows)
    with measured("card", told):
        problems = card_problems(spec, folder)
        assert not problems, problems
    with measured("rows, control tokens, duplicates, overlap (the reader)", told):
        loaded = load_rows(spec, PreferencePair, folder, control_tokens=TOKENS)
    print("\n".join(loaded.report.lines()))
    with measured("personal data", told):
        found = scan(loaded.train, {})
    print(f"{found.personal_rows:,} rows hold personal data: {dict(found.personal)}")
    with measured("the reader again", told):
        again = load_rows(spec, PreferencePair, folder, control_tokens=TOKENS)
    tokens(again, folder, told)


def tokens(loaded: Rows, folder: Path, told: dict[str, Any]) -> None:
    """Length, truncation, equality and control tokens after tokenisation, as a stage's check has them."""
    from align.models.spec import TokenizerSpec
    from align.models.tokenizer import build_tokenizer
    from align.training.token_cache import sides
    from align.training.token_columns import PairColumns

    with measured("a tokenizer of 32,000 tokens (not part of any bar)", told):
        sample = (text for row in loaded.train[:20_000] for text in texts_of(row))
        tokenizer = build_tokenizer(TokenizerSpec(vocab_size=32_000, chat_template="chatml"), sample)
    for what in ("tokenised checks", "tokenised checks again"):
        with measured(what, told):
            found = sides(loaded, PairColumns(tokenizer, 256), folder)["train"]
    print(f"{found.counts}", *(finding.warning() for finding in found.findings), sep="\n")


def specification(folder: Path, rows: int) -> DataSpec:
    """The rows with their card, and the evaluation prompts."""
    path = folder / f"pairs-{rows}.jsonl"
    card = str(path.with_suffix(".md")) if path.with_suffix(".md").exists() else None
    source = SourceSpec(path=str(path), format="pairs", card=card)
    suites = {"exam": SourceSpec(path=str(folder / EXAM), format="prompts")}
    screening = ScreeningSpec(control_tokens="drop", overlap=OverlapSpec(suites=suites, policy="keep"))
    return DataSpec(sources={"bench": source}, screening=screening)


def compare(folder: Path, rows: int, asked: list[str]) -> None:
    """Hold the counts against sets and regular expressions, one row after the other."""
    path = folder / f"pairs-{rows}.jsonl"
    loaded = load_rows(specification(folder, rows), PreferencePair, folder, control_tokens=TOKENS)
    seen: set[str] = set()
    dropped = {"control": 0, "duplicate": 0}
    runs: dict[int, set[tuple[str, ...]]] = {}
    for prompt in asked:
        words, length = words_of(prompt), run_length(prompt)
        starts = telling_runs(words, length) if length else [0]
        size = length or len(words)
        runs.setdefault(length, set()).update(tuple(words[at : at + size]) for at in starts)
    leaking, personal = 0, 0
    for line in path.read_text(encoding="utf-8").splitlines():
        texts = list(json.loads(line).values())
        if any(token in text for token in TOKENS for text in texts):
            dropped["control"] += 1
        elif line in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(line)
            leaking += any(_leaks(words_of(text), runs) for text in texts)
            personal += any(personal_data(text) for text in texts)
    found = scan(loaded.train, {"exam": asked})
    assert sum(item.count for item in loaded.report.findings if item.reason == LEAKED) == found.leaking_rows
    ours = {"kept": len(loaded.train), "leaking": found.leaking_rows, "personal": found.personal_rows}
    slow = {"kept": len(seen), "leaking": leaking, "personal": personal}
    assert ours == slow, (ours, slow)
    assert sum(loaded.report.dropped.values()) == sum(dropped.values())
    print(f"the slow way finds the same in {rows:,} rows: {ours}, dropped {dropped}")


def _leaks(words: list[str], runs: dict[int, set[tuple[str, ...]]]) -> bool:
    for length, wanted in runs.items():
        if not length and tuple(words) in wanted and words:
            return True
        if length and any(tuple(words[at : at + length]) in wanted for at in range(len(words) - length + 1)):
            return True
    return False


def near_duplicates(rows: int, told: dict[str, Any]) -> None:
    """Copies of every tenth row with a few words changed, among rows that are not alike."""
    stream = random.Random(1)
    known = sentences(Path(os.environ["ALIGN_DATA"]))
    texts: list[str] = []
    originals: dict[int, int] = {}
    for number in range(rows):
        if number % 10 == 9:
            words = texts[number - 9].split()
            for place in stream.sample(
                range(len(words)), round(stream.choice([0.01, 0.02, 0.04]) * len(words))
            ):
                words[place] = f"w{stream.randrange(10**6)}"
            originals[number] = number - 9
            texts.append(" ".join(words))
        else:
            texts.append(" ".join(stream.choice(known) for _ in range(13)))
    with measured(f"near duplicates of {rows:,} rows", told):
        found = NearDuplicates().matches(texts)
    pairs = [(number, jaccard(*shingle_sets([texts[original], texts[number]])))
             for number, original in originals.items()]  # fmt: skip
    close = [number for number, similarity in pairs if similarity >= 0.85]
    hits = sum(found[number] is not None for number in close)
    reported = [match.similarity for match in found if match is not None]
    words = sum(len(text.split()) for text in texts) / rows
    print(
        f"{words:.0f} words a row; {hits:,} of {len(close):,} planted at 0.85 or above found "
        f"({hits / len(close):.2%}); {len(reported):,} reported, the least similar at {min(reported):.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=0, help="preference rows to check")
    parser.add_argument("--near", type=int, default=0, help="rows to look for near duplicates among")
    parser.add_argument("--compare", action="store_true", help="hold the result against slow references")
    parser.add_argument("--folder", type=Path, help="where rows are written; default: a temporary folder")
    given = parser.parse_args()
    told: dict[str, Any] = {}
    with TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        asked = prompts(Path(os.environ["ALIGN_DATA"]))
        lines = (json.dumps({"prompt": prompt}, ensure_ascii=False) + "\n" for prompt in asked)
        (folder / EXAM).write_text("".join(lines), encoding="utf-8")
        if given.rows:
            checks(folder, given.rows, asked, told)
        if given.rows and given.compare:
            compare(folder, given.rows, asked)
        if given.near:
            near_duplicates(given.near, told)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
