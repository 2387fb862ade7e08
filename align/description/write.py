"""Write: a source, measured -> its card; what people wrote in an earlier one is kept.

Reads   the card that is there, if any
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from align.data.card_schema import FRONT_MATTER, UNWRITTEN
from align.data.errors import DataError
from align.data.records import Row
from align.data.report import SourceReport
from align.description.front_matter import front_matter
from align.description.measure import PERCENTILES, Lengths, sample_of

BEGIN, END = "<!-- measured by scripts/describe_data.py -->", "<!-- end of what was measured -->"
MEASURED = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}\n?", re.DOTALL)
SAMPLE = 600  # characters of a row that are shown
SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"))
SCAN = "check digits for cards and resident numbers, patterns for e-mail, telephone and IP addresses"


@dataclass(frozen=True)
class Measured:
    """Everything about a source that no person has to write.

    `place` is its `files` or `hub`, and `splits`.
    """

    name: str
    place: Mapping[str, Any]
    columns: Mapping[str, str]
    account: SourceReport
    lengths: Mapping[str, Lengths]
    max_length: int | None
    tokenizer: str
    personal: Mapping[str, int]
    evaluation_sets: Mapping[str, int]
    sample: Row | None


def card_of(measured: Measured, earlier: str | None) -> str:
    """The whole card as text.

    Raises:
        DataError: the earlier card has no front matter that could be kept.
    """
    fields, body = _parts(earlier, measured)
    fields["align"] = _facts(fields["align"], measured)
    section = "\n".join([BEGIN, "## Measured", "", *_section(measured), END, ""])
    above, below = MEASURED.split(body, maxsplit=1) if MEASURED.search(body) else (f"{body.rstrip()}\n\n", "")
    return f"{front_matter(fields)}{above}{section}{below}"


def _parts(earlier: str | None, measured: Measured) -> tuple[dict[str, Any], str]:
    """(front matter, what stands below it) of the card that is there, or of a first one."""
    if earlier is not None:
        block = FRONT_MATTER.match(earlier)
        fields = yaml.safe_load(block.group(1)) if block else None
        if block is None or not isinstance(fields, dict) or not isinstance(fields.get("align"), dict):
            raise DataError(f"the card of {measured.name} has no front matter to keep; move it away first")
        return fields, earlier[block.end() :]
    rows = sum(measured.place["splits"].values())
    fields = {
        "pretty_name": measured.name,
        "language": [tag for tag in measured.lengths if tag != "und"] or ["en"],
        "license": "unknown",
        "task_categories": ["text-generation"],
        "size_categories": [next((size for most, size in SIZES if rows < most), "n>10M")],
        "align": {
            "role": ["sft"],
            "source": f"{UNWRITTEN}: where it was published",
            "revision": f"{UNWRITTEN}: the commit or the date",
            "licence_note": f"{UNWRITTEN}: what may be done with it; or name the licence above",
        },
    }
    return fields, f"\n# {measured.name}\n"


def _facts(kept: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    """The `align:` block in its order: what people wrote, and what was measured anew."""
    facts: dict[str, Any] = {
        name: kept[name] for name in ("role", "source", "revision", "licence_note") if name in kept
    }
    splits = {entry["path"]: entry["split"] for entry in kept.get("files", ()) if "split" in entry}
    place = dict(measured.place)
    if "files" in place:
        place["files"] = [
            {**entry, **({"split": splits[entry["path"]]} if entry["path"] in splits else {})}
            for entry in place["files"]
        ]
        place["splits"] = _added_up(place["files"])
    else:
        place["splits"] = {**kept.get("splits", {}), **place["splits"]}
    facts |= {**place, "columns": dict(measured.columns)}
    for name, what in (
        ("collection", "who wrote it, when, how it was chosen"),
        ("known_biases", "whose views, which subjects, what is missing"),
        ("allowed_uses", "what it may be used for, and what not"),
    ):
        facts[name] = kept.get(name, f"{UNWRITTEN}: {what}")
    return {**facts, **_scanned(kept, measured)}


def _scanned(kept: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    noted = kept.get("personal_data", f"{UNWRITTEN}: whose data it is, and whether they agreed")
    personal = {
        "scanned": f"all texts of {measured.account.kept} rows",
        "method": SCAN,
        "found": dict(measured.personal),
        "note": noted if isinstance(noted, str) else noted["note"],
    }
    looked_for = {**kept.get("evaluation_sets", {}), **measured.evaluation_sets}
    return {"personal_data": personal, "evaluation_sets": looked_for}


def _added_up(files: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    splits: dict[str, int] = {}
    for entry in files:
        split = entry.get("split", "train")
        splits[split] = splits.get(split, 0) + entry["rows"]
    return splits


def _section(measured: Measured) -> list[str]:
    account = measured.account
    lines = [f"Rows read: {account.rows_in}; rows that can be used: {account.kept}.", ""]
    if found := account.findings.warnings:
        lines += ["| what is wrong with rows | rows |", "|---|---|"]
        lines += [f"| {finding.reason.replace('|', '/')} | {finding.count} |" for finding in found]
        lines.append("")
    lines += [f"Tokens per row ({measured.tokenizer}; the template's are not counted):", ""]
    lines += _table(measured)
    if measured.sample is not None:
        shown = sample_of(measured.sample)
        shown = shown if len(shown) <= SAMPLE else f"{shown[:SAMPLE]} …"
        lines += ["", "The first row:", "", *(f"    {line}".rstrip() for line in shown.splitlines())]
    return [*lines, ""]


def _table(measured: Measured) -> list[str]:
    """Lengths by language; columns that say nothing here are left out."""
    heads = ["language", "rows", *("longest" if share == 100 else f"{share} %" for share in PERCENTILES)]
    has_hangul = any(lengths.per_hangul is not None for lengths in measured.lengths.values())
    heads += ["tokens per Hangul character"] if has_hangul else []
    heads += [f"over {measured.max_length}"] if measured.max_length else []
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for tag, lengths in measured.lengths.items():
        cells = [tag, str(lengths.rows), *map(str, lengths.tokens)]
        if has_hangul:
            cells.append("" if lengths.per_hangul is None else f"{lengths.per_hangul:.2f}")
        cells += [f"{lengths.too_long:.1%}"] if measured.max_length else []
        lines.append(f"| {' | '.join(cells)} |")
    return lines
