"""Audit: rows to train on + evaluation prompts -> what is worth knowing before a model believes them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from align.audit.completions import Completions
from align.audit.label_noise import label_noise
from align.audit.length_bias import length_bias
from align.audit.scan import EXAMPLES, Scan, scan
from align.audit.spec import AuditSpec
from align.audit.triggers import find_triggers
from align.data.records import PreferencePair, Row, texts_of
from align.data.screening.near_duplicates import THRESHOLD, NearDuplicates
from align.data.source import Rows

SUSPICIOUS = 20  # labels that are listed
PHRASES = 50
SHOWN = 160  # characters of a text


def audit(entry: str, loaded: Rows, suites: Mapping[str, Sequence[str]], spec: AuditSpec) -> dict[str, Any]:
    """Look at the rows that one corpus entry gives to training.

    Args:
        entry: the entry's name.
        loaded: its rows; those held out are left alone.
        suites: evaluation set -> text of its prompts.
        spec: how much to look at.

    Returns:
        Plain values, as written to audit.json. Personal data is told by its place, never by its text.
    """
    rows = loaded.train
    found: dict[str, Any] = {
        "entry": entry,
        "rows": len(rows),
        "report": loaded.report.as_dict(),
        "sources": _sources(loaded),
        **_scanned(rows, scan(rows, suites, workers=spec.workers), suites),
        "near_duplicates": _near_duplicates(rows, spec.compared),
    }
    pairs = _sampled(rows, spec.sample)
    if pairs and isinstance(pairs[0], PreferencePair):
        found |= _preferences(pairs)
    return found


def _sources(loaded: Rows) -> list[dict[str, Any]]:
    spans = loaded.train_spans()
    total = len(loaded.train)
    return [
        {"name": name, "rows": len(span), "share": len(span) / total if total else 0.0}
        for name, span in spans.items()
    ]


def _scanned(rows: Sequence[Row], found: Scan, suites: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    overlap = [
        {
            "suite": name,
            "prompts": len(suites[name]),
            "leaked": len(leaks.prompts),
            "rows": leaks.rows,
            "examples": [
                {"place": str(rows[row].place), "prompt": _short(suites[name][prompt])}
                for row, prompt in leaks.examples
            ],
        }
        for name, leaks in found.leaks.items()
    ]
    personal = {
        kind: {
            "count": count,
            "places": [str(rows[row].place) for row in found.personal_examples[kind]],
        }
        for kind, count in found.personal.most_common()
    }
    return {
        "overlap": {"rows": found.leaking_rows, "suites": overlap},
        "personal_data": {"rows": found.personal_rows, "kinds": personal},
    }


def _near_duplicates(rows: Sequence[Row], most: int) -> dict[str, Any]:
    """Compare the first rows with one another."""
    near = NearDuplicates()
    compared = min(len(rows), most)
    found = 0
    examples: list[dict[str, Any]] = []
    for start in range(0, compared, 512):
        part = rows[start : min(start + 512, compared)]
        for number, match in enumerate(near.matches(["\n".join(texts_of(row)) for row in part]), start=start):
            if match is None:
                continue
            found += 1
            if len(examples) < EXAMPLES:
                places = (str(rows[number].place), str(rows[match.earlier].place))
                examples.append({"place": places[0], "like": places[1], "similarity": match.similarity})
    return {"compared": compared, "found": found, "threshold": THRESHOLD, "examples": examples}


def _sampled(rows: Sequence[Row], most: int) -> list[Any]:
    if len(rows) <= most:
        return list(rows)
    return [rows[number] for number in sorted(random.Random(0).sample(range(len(rows)), most))]


def _preferences(rows: Sequence[PreferencePair]) -> dict[str, Any]:
    """What only pairs can be asked: which side is longer, planted phrases, labels that look wrong."""
    pairs = Completions.of(rows)
    search = find_triggers(pairs)
    triggers = [
        {**asdict(trigger), "rows": [str(rows[row].place) for row in trigger.rows]}
        for trigger in search.found[:PHRASES]
    ]
    differences = [len(one) - len(other) for one, other in zip(pairs.chosen, pairs.rejected, strict=True)]
    length = length_bias(pairs)
    return {
        "pairs": len(pairs),
        "length": {**asdict(length), "is_biased": length.is_biased, "differences": differences},
        "triggers": {**asdict(search), "count": len(search.found), "found": triggers},
        "label_noise": _noise(rows, pairs),
    }


def _noise(rows: Sequence[PreferencePair], pairs: Completions) -> dict[str, Any]:
    try:
        noise = label_noise(pairs)
    except ValueError as problem:
        return {"problem": str(problem)}
    suspicious = [
        {
            "place": str(rows[row].place),
            "margin": float(noise.margins[row]),
            "chosen": _short(pairs.chosen[row]),
            "rejected": _short(pairs.rejected[row]),
        }
        for row in noise.most_suspicious(SUSPICIOUS)
    ]
    return {
        "agreement": noise.agreement,
        "disagreement": list(noise.disagreement),
        "rate": asdict(noise.rate) if noise.rate is not None else None,
        "why_not": list(noise.why_not),
        "suspicious": suspicious,
    }


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= SHOWN else f"{plain[:SHOWN]}…"
