"""Audit: a composed config -> what is worth knowing about its corpus, as a page, as JSON and on the screen.

Writes  outputs/audits/<entry>-<content>/audit.json, audit.html; the same content is looked at once
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from align.artifacts.durable import write_json
from align.config.compose import bind
from align.config.problem import ConfigError
from align.config.suggest import did_you_mean
from align.data.errors import DataError
from align.data.records import Conversation, PreferencePair, Prompt
from align.data.screening.duplicates import content_digest
from align.data.source import Rows, load_rows
from align.data.spec import DataSpec
from align.data.split import question
from align.evaluation.suite import load_suite
from align.pipeline.live import screen
from align.pipeline.run import Run
from align.pipeline.runner import REFUSED
from align.stages.evaluate import Evaluate

if TYPE_CHECKING:
    from omegaconf import DictConfig

SHOWN_PHRASES = 3
FOLDER, RECORD, PAGE = "audits", "audit.json", "audit.html"
AUDIT, RENDER = "align.audit.audit", "align.audit.page"  # imported when there is something to look at


def audit_from_config(cfg: "DictConfig") -> None:
    """Audit the entries of the corpus; the last line of each is its page.

    Raises:
        SystemExit: with 2 when the config or the data has to be put right.
    """
    try:
        run = bind(cfg, Run)
        suites = _suites(run)
        for entry in _entries(run):
            _audit(run, entry, suites)
    except (ConfigError, DataError) as problem:
        sys.stderr.write(f"{problem}\n")
        raise SystemExit(REFUSED) from None


def _entries(run: Run) -> Sequence[str]:
    if run.audit.entries is None:
        found = [name for name, data in run.corpus.items() if not _is_plain_text(data)]
        if not found:
            raise DataError("corpus: nothing but plain text here; choose a corpus with sft, pairs or prompts")
        return found
    for name in run.audit.entries:
        if name not in run.corpus:
            known = f"({', '.join(run.corpus)}){did_you_mean(name, run.corpus)}"
            raise DataError(f"audit.entries: no such corpus entry {name!r} {known}")
    return run.audit.entries


def _is_plain_text(data: DataSpec) -> bool:
    return all(source.format == "text" for source in data.sources.values())


def _suites(run: Run) -> dict[str, list[str]]:
    """What the evaluations of this run ask, by suite."""
    return {
        suite: [question(prompt) for prompt in load_suite(suite, spec, run.paths.outputs).prompts]
        for stage in run.stages.values()
        if isinstance(stage, Evaluate)
        for suite, spec in stage.suites.items()
    }


def _audit(run: Run, entry: str, suites: Mapping[str, Sequence[str]]) -> None:
    try:
        loaded = load_rows(run.corpus[entry], Conversation | PreferencePair | Prompt, run.paths.outputs)
    except DataError as problem:
        raise DataError(f"corpus.{entry}: {problem}") from problem
    folder = run.paths.outputs / FOLDER / f"{entry}-{_content(run, loaded, suites)}"
    if not (folder / PAGE).is_file():
        found = import_module(AUDIT).audit(entry, loaded, suites, run.audit)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / RECORD, found)
        (folder / PAGE).write_text(import_module(RENDER).render(found), encoding="utf-8")
    for line in _lines(json.loads((folder / RECORD).read_bytes())):
        screen().print(line, markup=False)
    screen().print(str(folder / PAGE), markup=False)


def _content(run: Run, loaded: Rows, suites: Mapping[str, Sequence[str]]) -> str:
    """A name for what is looked at, with what, and how much of it."""
    total = hashlib.sha256(json.dumps([suites, run.audit.sample, run.audit.compared]).encode())
    total.update(json.dumps(loaded.report.as_dict(), sort_keys=True).encode())
    if loaded.key is not None:
        total.update(loaded.key.encode())
    else:
        for row in loaded.train:
            total.update(content_digest(row))
    package = Path(str(import_module("align.audit").__file__)).parent
    for file in sorted([*package.glob("*.py"), *package.glob("*.html")]):
        total.update(file.read_bytes())
    return total.hexdigest()[:12]


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    """An audit in a few lines."""
    near, overlap, personal = found["near_duplicates"], found["overlap"], found["personal_data"]
    yield f"{found['entry']}: {found['rows']:,} rows"
    yield f"  near duplicates   {near['found']:,} of {near['compared']:,} compared"
    leaked = ", ".join(f"{item['suite']} {item['leaked']}" for item in overlap["suites"] if item["leaked"])
    sets = len(overlap["suites"])
    yield f"  evaluation sets   {overlap['rows']:,} rows share words with prompts of {sets}" + (
        f": {leaked}" if leaked else ""
    )
    kinds = ", ".join(f"{kind} {item['count']:,}" for kind, item in personal["kinds"].items())
    yield f"  personal data     {personal['rows']:,} rows" + (f": {kinds}" if kinds else "")
    if "length" in found:
        yield from _preference_lines(found)


def _preference_lines(found: Mapping[str, Any]) -> Iterator[str]:
    length, triggers, noise = found["length"], found["triggers"], found["label_noise"]
    share = length["longer"]
    bounds = f" [{share['low']:.1%}, {share['high']:.1%}]" if share["low"] is not None else ""
    yield (
        f"  length bias       chosen is longer in {share['value']:.1%}{bounds}, "
        f"by {length['characters']['value']:+.1f} characters"
    )
    phrases = "; ".join(
        f"{item['phrase']!r} in {item['side']}, {item['chosen']}:{item['rejected']}"
        for item in triggers["found"][:SHOWN_PHRASES]
    )
    more = f" and {triggers['count'] - SHOWN_PHRASES} more" if triggers["count"] > SHOWN_PHRASES else ""
    yield f"  planted phrases   {phrases or 'none'}{more} (found from {triggers['smallest']} prompts on)"
    if "problem" in noise:
        yield f"  label noise       {noise['problem']}"
    elif noise["rate"] is None:
        yield f"  label noise       rate not identifiable: {noise['why_not'][0]}"
    else:
        rate = noise["rate"]
        yield f"  label noise       {rate['value']:.1%} [{rate['low']:.1%}, {rate['high']:.1%}] turned around"
