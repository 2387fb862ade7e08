"""Answers: what every checkpoint said to the same prompts, as many as a page can hold. Untrusted text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from align.report.collect import Facts
from align.report.figures import thinned
from align.report.section import Block, Section
from align.report.words import fixed

MOST_PROMPTS = 200
MOST_CHARACTERS = 4000  # of one answer or prompt
MOST_REFERENCE = 300
MOST_TEXT = 1_200_000  # characters of all of them


@dataclass(frozen=True)
class Answer:
    """One checkpoint's answer."""

    checkpoint: str
    text: str
    is_cut: bool
    ended: bool
    tokens: int | None
    scores: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Asked:
    """One prompt with all answers."""

    suite: str
    turns: tuple[tuple[str, str], ...]
    reference: str
    answers: tuple[Answer, ...]


def answers(facts: Facts) -> Iterator[Section]:
    """Side by side, from every suite in proportion, searchable."""
    samples = [sample for stage in facts.evaluations for sample in stage.samples if "completions" in sample]
    if not samples:
        return
    shown: list[Asked] = []
    written = 0
    for place in thinned(len(samples), MOST_PROMPTS):
        asked = _asked(samples[place])
        size = sum(len(answer.text) for answer in asked.answers) + sum(len(text) for _, text in asked.turns)
        if shown and written + size > MOST_TEXT:
            break
        written += size
        shown.append(asked)
    lead = f"{len(shown)} of {len(samples):,} prompts, evenly chosen." if len(shown) < len(samples) else ""
    lead += " What models say is shown as they said it; nothing of it is checked."
    names = list(dict.fromkeys(answer.checkpoint for asked in shown for answer in asked.answers))
    content = {"asked": shown, "suites": list(dict.fromkeys(a.suite for a in shown)), "checkpoints": names}
    yield Section("answers", "Answers side by side", lead.strip(), [Block("answers", content)])


def _asked(sample: Mapping[str, Any]) -> Asked:
    return Asked(
        suite=sample["suite"],
        turns=tuple((turn["role"], _cut(turn["content"])[0]) for turn in sample["prompt"]),
        reference=_reference(sample.get("reference") or {}),
        answers=tuple(_answer(name, found) for name, found in sample["completions"].items()),
    )


def _reference(reference: Mapping[str, Any]) -> str:
    """The right answer where the prompt brings one; else whatever it brings, briefly."""
    known = reference.get("answers") or reference.get("answer")
    if known:
        return str(known[0] if isinstance(known, list) else known)[:MOST_REFERENCE]
    return ", ".join(f"{name}: {value}" for name, value in reference.items())[:MOST_REFERENCE]


def _answer(name: str, found: Mapping[str, Any]) -> Answer:
    text, is_cut = _cut(found["text"])
    scores = tuple(
        (reward, fixed(value)) for reward, value in found.get("scores", {}).items() if value is not None
    )
    return Answer(name, text, is_cut, bool(found.get("ended", True)), found.get("tokens"), scores)


def _cut(text: str) -> tuple[str, bool]:
    """The beginning of a text that is too long for a page, and whether it was."""
    if len(text) <= MOST_CHARACTERS:
        return text, False
    return text[:MOST_CHARACTERS] + "…", True
