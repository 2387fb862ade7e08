"""Standing: is a source's data what its card says, as far as can be told while it is read?

A source without a card is let in, as everybody's first file has none; so is one with `allow_unverified: true`
whose card does not match. Neither passes in silence: the log, the run's last lines and the lineage say so.

Reads   cards; the data report of a stage
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from align.data.card import card_path, pinned_problems, source_problems
from align.data.card_schema import read_card
from align.data.errors import DataError
from align.data.spec import SourceSpec

Verdict = Literal["verified", "no card", "overridden"]
EXPECTED = ("en", "ko")  # languages of data that no card tells of
REMEDY = (
    "fetch the version that the card describes, bring the card up to date (scripts/describe_data.py), or set "
    "allow_unverified: true on the source, which goes on record"
)


@dataclass(frozen=True)
class Standing:
    """What a source's card was found to be worth; `problems` are those that were overridden.

    `languages` are those that the card names, or that people here expect.
    """

    verdict: Verdict
    problems: tuple[str, ...] = ()
    languages: tuple[str, ...] = EXPECTED


def standing_of(name: str, source: SourceSpec, digests: Sequence[str], outputs: Path) -> Standing:
    """Hold what is about to be read against its card.

    The stage's check has read every row of it; here the file's sha256 (for the Hub: name and revision) has to
    be the card's, so that nothing else is read than was checked.

    Args:
        name: the source's name in its mixture.
        source: the source.
        digests: sha256 of every local file that is read.
        outputs: where generated files and their cards lie.

    Raises:
        DataError: it is not what the card says, and `allow_unverified` is not set.
    """
    if source.card is None:
        return Standing("no card")
    if source.allow_unverified and (found := source_problems(name, source, source.card, outputs)):
        return Standing("overridden", tuple(found))
    path = card_path(source, source.card, outputs)
    card = read_card(path)
    facts = card.align
    if source.hub is not None:
        found = pinned_problems(facts, source.hub)
    else:
        strange = sorted(set(digests) - {stated.sha256 for stated in facts.files})
        found = [f"files: none has the sha256 of {source.path}, which is {digest}" for digest in strange]
    if found:
        raise DataError(f"sources.{name}: {path}: align.{'; align.'.join(found)}. To go on, {REMEDY}")
    return Standing("verified", languages=tuple(card.language))


def warning(name: str, card: str | None, verdict: str | None, problems: tuple[str, ...]) -> str | None:
    """What people are told about a source that nobody verified."""
    if verdict == "no card":
        return (
            f"WARNING: {name}: no data card, so nothing vouches for this data; "
            "scripts/describe_data.py begins one"
        )
    if verdict == "overridden":
        return (
            f"WARNING: {name}: not what card {card} says, let in by allow_unverified: {'; '.join(problems)}"
        )
    return None


def warnings_in(report: Path) -> list[str]:
    """What the data report of a stage (data.json) has on record about data that nobody verified."""
    if not report.is_file():
        return []
    told = (
        warning(name, source.get("card"), source.get("card_check"), tuple(source.get("card_problems", ())))
        for name, source in _sources(json.loads(report.read_text(encoding="utf-8")))
    )
    return list(dict.fromkeys(line for line in told if line is not None))


def _sources(node: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every source of every report in a document, wherever a stage keeps them."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "sources" and isinstance(value, Mapping):
                yield from value.items()
            else:
                yield from _sources(value)
