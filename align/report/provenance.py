"""Provenance: the pipeline as a graph, its data with their cards, and where every artifact came from."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from align.data.card_schema import Card
from align.report.collect import Facts, ReportError, StageFacts
from align.report.figures import Table
from align.report.graph import graph
from align.report.section import Block, Section, folded, table
from align.report.sources import card_of, sources
from align.report.words import duration, fixed, number


def pipeline(facts: Facts) -> Iterator[Section]:
    """What was built from what, found or made."""
    if not facts.stages:
        return
    drawings = [graph(facts.stages, layout) for layout in ("wide", "narrow")]
    rows = tuple(
        (
            stage.name,
            stage.status,
            duration(stage.built_in),
            ", ".join(stage.parents) or "–",
            stage.folder.name,
        )
        for stage in facts.stages
    )
    found = Table(("stage", "status", "time", "built on", "artifact"), rows)
    lead = "Ran: built by this run. Cached or earlier: built before from the very same settings."
    yield Section("pipeline", "Pipeline", lead, [Block("graph", drawings), folded(found, "Table")])


def data(facts: Facts) -> Iterator[Section]:
    """Rows that went in, were dropped and why, and what the cards say of them."""
    rows, dropped = [], []
    for stage in facts.stages:
        for part, name, source in sources(stage):
            card = card_of(source)
            rows.append(
                (
                    stage.name, f"{part}: {name}" if part else name, *_numbers(source), *_card_words(card),
                    str(source.get("sha256") or source.get("revision") or "–")[:12],
                )
            )  # fmt: skip
            dropped += [
                (stage.name, name, reason, number(count), _first_dropped(source, reason))
                for reason, count in source.get("dropped", {}).items()
            ]
    if not rows:
        return
    headers = (
        "stage", "source", "rows in", "kept", "to train on", "held out", "licence", "languages", "sha256",
    )  # fmt: skip
    blocks = [table(Table(headers, tuple(rows)))]
    if dropped:
        found = Table(("stage", "source", "why", "rows", "the first"), tuple(dropped))
        blocks.append(table(found, "Left out"))
    lead = "As the stages counted them. Licence and languages are those of the data card; – means no card."
    yield Section("data", "Data", lead, blocks)


def lineage(facts: Facts) -> Iterator[Section]:
    """Every artifact with its ancestors, code, packages and settings."""
    known = [stage for stage in facts.stages if stage.lineage]
    if not known:
        return
    rows = tuple(_lineage_row(stage) for stage in known)
    headers = ("stage", "artifact", "built on", "settings", "seed", "commit", "finished")
    packages = known[-1].lineage or {}
    lead = (
        "An artifact is named by what went into it: the same settings, data and ancestors give the same name."
    )
    blocks = [table(Table(headers, rows))]
    versions = tuple(packages.get("packages", {}).items())
    blocks.append(folded(Table(("package", "version"), versions), "Packages"))
    for stage in known:
        settings = json.dumps(stage.spec, indent=2, ensure_ascii=False)
        blocks.append(Block("code", settings, f"Settings of {stage.name}"))
    yield Section("lineage", "Lineage", lead, blocks)


def models(facts: Facts) -> Iterator[Section]:
    """Models in Hugging Face layout that the report was asked about."""
    if not facts.models:
        return
    rows = tuple(
        (
            model.name, model.architecture, number(model.parameters), ", ".join(model.dtypes),
            number(model.vocabulary), number(model.context), "yes" if model.has_template else "no",
            "yes" if model.has_contract else "no", model.licence or "–",
            "–" if model.gib is None else fixed(model.gib),
        )
        for model in facts.models
    )  # fmt: skip
    headers = (
        "model", "architecture", "parameters", "types", "vocabulary", "context", "template", "contract",
        "licence", "GiB",
    )  # fmt: skip
    lead = "Read from the folder; the weights were not loaded. Where it came from is not recorded there."
    yield Section("models", "Models", lead, [table(Table(headers, rows))])


def require_stages(facts: Facts) -> None:
    """Raises ReportError where nothing lies behind the facts."""
    if not facts.stages and not facts.models and not facts.error:
        raise ReportError(
            f"{facts.folder}: no stage of this run has got anywhere; there is nothing to report"
        )


def _numbers(source: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(number(source.get(name)) for name in ("rows_in", "kept", "train", "held_out"))


def _card_words(card: Card | None) -> tuple[str, str]:
    return ("–", "–") if card is None else (card.spdx, ", ".join(card.language))


def _first_dropped(source: Mapping[str, Any], reason: str) -> str:
    return str(source.get("first_dropped", {}).get(reason, "–"))


def _lineage_row(stage: StageFacts) -> tuple[str, ...]:
    known = stage.lineage or {}
    code = known.get("code") or {}
    commit = str(code.get("commit") or "–")[:12] + (" + changes" if code.get("dirty") else "")
    return (
        stage.name, stage.folder.name, ", ".join(stage.parents.values()) or "–",
        str(known.get("spec_digest", "–"))[:12], str(stage.spec.get("seed", "–")), commit,
        str(known.get("ended", "–")),
    )  # fmt: skip
