"""Suite: what checkpoints are asked, as configuration and as loaded prompts. Torch-free."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align.config.spec import PositiveInt, Spec
from align.data.card import card_problems
from align.data.errors import DataError
from align.data.mixture import chosen, pick
from align.data.records import Conversation, Message, PreferencePair, Prompt
from align.data.source import load_rows
from align.data.spec import DataSpec, ScreeningSpec, SourceSpec

_ASKING = Conversation | PreferencePair | Prompt


@dataclass(frozen=True, kw_only=True)
class SuiteSpec(Spec):
    """Prompts that every checkpoint answers: those of a `source`, or what the held-out rows of `data` ask.

    `max_prompts` takes a fixed sample. Each key in `groups` names an entry of the prompts' `reference`:
    beside the whole suite, the prompts of each value of it are reported on their own, as
    `<suite>/<key>=<value>`. `rewards` names those that score this suite; null means all of them.
    """

    source: SourceSpec | None = None
    data: DataSpec | None = None
    max_prompts: PositiveInt | None = None
    groups: tuple[str, ...] = ()
    rewards: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.source is None) == (self.data is None):
            raise ValueError(
                "a suite has either a `source` of prompts or `data`, whose held-out rows it asks"
            )
        if self.data is not None and not self.data.held_out:
            raise ValueError(
                "data: nothing is held out to ask; set data.held_out (corpus.<name>.held_out) above 0"
            )


@dataclass(frozen=True)
class Suite:
    """A suite's prompts. `groups` maps a label to the rows it holds; the empty label holds every row."""

    name: str
    prompts: Sequence[Prompt]
    groups: Mapping[str, Sequence[int]]
    report: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """sha256 of what is asked, in order; what is known about the right answers does not enter."""
        asked = [[message.as_dict() for message in prompt.messages] for prompt in self.prompts]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    @property
    def clusters(self) -> list[int]:
        """For each row the first row that asks the same: rows of one prompt are no independent evidence."""
        first: dict[tuple[Message, ...], int] = {}
        return [first.setdefault(prompt.messages, row) for row, prompt in enumerate(self.prompts)]


def load_suite(name: str, spec: SuiteSpec, outputs: Path) -> Suite:
    """Read a suite's prompts and sort them into groups.

    Raises:
        DataError: the rows cannot be read, or no prompt has an entry that `groups` names.
    """
    field, data = _data(name, spec)
    try:
        loaded = load_rows(data, _ASKING, outputs)
    except DataError as cause:
        raise DataError(f"suites.{name}.{field}: {cause}") from cause
    prompts = [prompt_of(row) for row in (loaded.train if spec.data is None else loaded.held_out)]
    if spec.max_prompts is not None and len(prompts) > spec.max_prompts:
        prompts = pick(prompts, chosen(len(prompts), spec.max_prompts, f"{data.seed}:suite"))
    groups = {"": list(range(len(prompts)))}
    for key in spec.groups:
        found = _grouped(prompts, key)
        if not found:
            known = ", ".join(sorted({entry for prompt in prompts for entry in prompt.reference}))
            raise DataError(
                f"suites.{name}.groups: no prompt has {key!r} in its reference ({known or 'empty'})"
            )
        groups |= found
    return Suite(name, prompts, groups, loaded.report.as_dict())


def suite_card_problems(name: str, spec: SuiteSpec, outputs: Path) -> list[str]:
    """Where a suite's data disagrees with its cards."""
    field, data = _data(name, spec)
    inner = f"sources.{name}" if spec.data is None else ""
    return [f"suites.{name}.{field}{line.removeprefix(inner)}" for line in card_problems(data, outputs)]


def prompt_of(row: Conversation | PreferencePair | Prompt) -> Prompt:
    """What a row asks; the answer that it gives, or prefers, becomes the reference's `answer`."""
    if isinstance(row, Prompt):
        return row
    if isinstance(row, PreferencePair):
        return Prompt(row.prompt, {"answer": row.chosen[-1].content})
    return Prompt(row.messages[:-1], {"answer": row.messages[-1].content})


def _data(name: str, spec: SuiteSpec) -> tuple[str, DataSpec]:
    """The field that holds the suite's rows, and how to load them."""
    if spec.data is not None:
        return "data", spec.data
    assert spec.source is not None
    return "source", DataSpec(sources={name: spec.source}, screening=ScreeningSpec(duplicates="keep"))


def _grouped(prompts: Sequence[Prompt], key: str) -> dict[str, list[int]]:
    """`<key>=<value>` -> the rows whose reference says so, by value."""
    found: dict[str, list[int]] = {}
    for row, prompt in enumerate(prompts):
        if key in prompt.reference:
            value = prompt.reference[key]
            label = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            found.setdefault(f"{key}={label}", []).append(row)
    return dict(sorted(found.items()))
