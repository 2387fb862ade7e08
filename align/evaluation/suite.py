"""Suite: what checkpoints are asked, as configuration and as loaded prompts. Torch-free."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align.config.spec import Spec
from align.data.card import card_problems
from align.data.errors import DataError
from align.data.records import Message, Prompt
from align.data.source import load_rows
from align.data.spec import DataSpec, ScreeningSpec, SourceSpec


@dataclass(frozen=True, kw_only=True)
class SuiteSpec(Spec):
    """Prompts that every checkpoint answers.

    `source` yields `Prompt` rows; `source.max_rows` bounds their number. Each key in `groups` names an entry
    of the prompts' `reference`: beside the whole suite, the prompts of each value of it are reported on their
    own, as `<suite>/<key>=<value>`. `rewards` names those that score this suite; null means all of them.
    """

    source: SourceSpec
    groups: tuple[str, ...] = ()
    rewards: tuple[str, ...] | None = None


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
        DataError: the source cannot be read, or no prompt has an entry that `groups` names.
    """
    try:
        rows = load_rows(_data(name, spec), Prompt, outputs)
    except DataError as cause:
        raise DataError(f"suites.{name}.source: {cause}") from cause
    groups = {"": list(range(len(rows.train)))}
    for key in spec.groups:
        found = _grouped(rows.train, key)
        if not found:
            known = ", ".join(sorted({entry for prompt in rows.train for entry in prompt.reference}))
            raise DataError(
                f"suites.{name}.groups: no prompt has {key!r} in its reference ({known or 'empty'})"
            )
        groups |= found
    return Suite(name, rows.train, groups, rows.report.as_dict())


def suite_card_problems(name: str, spec: SuiteSpec, outputs: Path) -> list[str]:
    """Where a suite's data disagrees with its card."""
    found = card_problems(_data(name, spec), outputs)
    return [f"suites.{name}.source{problem.removeprefix(f'sources.{name}')}" for problem in found]


def _data(name: str, spec: SuiteSpec) -> DataSpec:
    return DataSpec(sources={name: spec.source}, screening=ScreeningSpec(duplicates=False))


def _grouped(prompts: Sequence[Prompt], key: str) -> dict[str, list[int]]:
    """`<key>=<value>` -> the rows whose reference says so, by value."""
    found: dict[str, list[int]] = {}
    for row, prompt in enumerate(prompts):
        if key in prompt.reference:
            value = prompt.reference[key]
            label = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            found.setdefault(f"{key}={label}", []).append(row)
    return dict(sorted(found.items()))
