"""Suite: what checkpoints are asked, as configuration and as loaded prompts. Torch-free."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from align.config.plugin import Plugin
from align.config.spec import PositiveInt, Spec
from align.data.card import card_problems
from align.data.errors import DataError
from align.data.mixture import chosen, pick
from align.data.records import Conversation, Message, PreferencePair, Prompt, Row
from align.data.source import Rows, load_rows
from align.data.spec import DataSpec, ScreeningSpec, SourceSpec
from align.evaluation.metrics.metric import Metric
from align.evaluation.variants.variant import KEY, varied
from align.generation.decoding import DecodingSpec

_ASKING = Conversation | PreferencePair | Prompt


@dataclass(frozen=True, kw_only=True)
class SuiteSpec(Spec):
    """Prompts that every checkpoint answers: those of a `source`, of several `sources` one after the other,
    or what the held-out rows of `data` ask.

    `max_prompts` takes a fixed sample. Each key in `groups` names an entry of the prompts' `reference`:
    beside the whole suite, the prompts of each value of it are reported on their own, as
    `<suite>/<key>=<value>`; those of each source as `<suite>/source=<name>`, where there are several.
    `rewards` names those that score this suite; null means all of them.

    `metric` measures the answers in the suite's own way. `variants` ask every question in several ways, each
    reported as `<suite>/variant=<name>`; `examples` are what few-shot ones show. `decoding` is the stage's
    unless the suite has its own, whose seed is the stage's all the same.

    `choose` makes a suite multiple choice: nothing is generated, and the likeliest of the reference's
    `choices` is taken, as this package computes it or as lm-eval does.
    """

    source: SourceSpec | None = None
    sources: Mapping[str, SourceSpec] | None = None
    data: DataSpec | None = None
    max_prompts: PositiveInt | None = None
    groups: tuple[str, ...] = ()
    rewards: tuple[str, ...] | None = None
    metric: Plugin | None = None
    variants: Mapping[str, Plugin] | None = None
    examples: DataSpec | None = None
    decoding: DecodingSpec | None = None
    choose: Literal["likelihood", "lm-eval"] | None = None

    def __post_init__(self) -> None:
        if sum(item is not None for item in (self.source, self.sources, self.data)) != 1:
            raise ValueError(
                "a suite has either a `source` (or several `sources`) of prompts or `data`, whose held-out "
                "rows it asks"
            )
        if self.choose is not None and self.metric is not None:
            raise ValueError(
                "metric: what is chosen is right or wrong already; leave `metric` or `choose` out"
            )
        for name, plugin in (("metric", self.metric), *(self.variants or {}).items()):
            if plugin is not None and (missing := plugin.missing_arguments()):
                raise ValueError(f"{name}: {missing[0]}")
        if self.data is not None and not self.data.held_out:
            raise ValueError(
                "data: nothing is held out to ask; set data.held_out (corpus.<name>.held_out) above 0"
            )


@dataclass(frozen=True)
class Suite:
    """A suite's prompts. `groups` maps a label to the rows it holds; the empty label holds every row.

    `origins` are the numbers of the questions behind the prompts, where one is asked in several ways. (N,)
    `described` says for the record what the suite is measured by and how it asks.
    """

    name: str
    prompts: Sequence[Prompt]
    groups: Mapping[str, Sequence[int]]
    report: Mapping[str, Any]
    origins: Sequence[int] | None = None
    metric: Metric | None = None
    decoding: DecodingSpec | None = None
    described: Mapping[str, Any] = field(default_factory=dict)
    choose: Literal["likelihood", "lm-eval"] | None = None

    @property
    def digest(self) -> str:
        """sha256 of what is asked, in order; what is known about the right answers does not enter."""
        asked = [[message.as_dict() for message in prompt.messages] for prompt in self.prompts]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    @property
    def clusters(self) -> list[int]:
        """For each row the first row that asks the same: rows of one prompt are no independent evidence."""
        if self.origins is not None:
            return list(self.origins)
        first: dict[tuple[Message, ...], int] = {}
        return [first.setdefault(prompt.messages, row) for row, prompt in enumerate(self.prompts)]


def load_suite(name: str, spec: SuiteSpec, outputs: Path) -> Suite:
    """Read a suite's prompts and sort them into groups.

    Raises:
        DataError: the rows cannot be read, cannot be asked in a way that `variants` names, or no prompt has
            an entry that `groups` names.
    """
    place, data = _data(name, spec)
    loaded = _loaded(f"suites.{name}.{place}", data, _ASKING, outputs)
    rows = loaded.train if spec.data is None else loaded.held_out
    if spec.max_prompts is not None and len(rows) > spec.max_prompts:
        rows = pick(rows, chosen(len(rows), spec.max_prompts, f"{data.seed}:suite"))
    prompts, origins = _in_every_way(name, spec, [prompt_of(row) for row in rows], outputs)
    asked = rows if origins is None else pick(rows, origins)
    groups = {"": list(range(len(prompts))), **_by_source(asked)}
    for key in (*spec.groups, *([] if origins is None else [KEY])):
        found = _grouped(prompts, key)
        if not found:
            known = ", ".join(sorted({entry for prompt in prompts for entry in prompt.reference}))
            raise DataError(
                f"suites.{name}.groups: no prompt has {key!r} in its reference ({known or 'empty'})"
            )
        groups |= found
    metric = None if spec.metric is None else _built(f"suites.{name}.metric", spec.metric)
    described = {
        "metric": spec.metric.as_yaml() if spec.metric else None,
        "variants": {key: item.as_yaml() for key, item in (spec.variants or {}).items()},
        "choose": spec.choose,
    }
    report = loaded.report.as_dict()
    return Suite(name, prompts, groups, report, origins, metric, spec.decoding, described, spec.choose)


def suite_card_problems(name: str, spec: SuiteSpec, outputs: Path) -> list[str]:
    """Where a suite's data disagrees with its cards."""
    place, data = _data(name, spec)
    inner = {"data": "", "source": f"sources.{name}", "sources": "sources"}[place]
    return [f"suites.{name}.{place}{line.removeprefix(inner)}" for line in card_problems(data, outputs)]


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
    screening = ScreeningSpec(duplicates="keep")
    if spec.sources is not None:
        return "sources", DataSpec(sources=spec.sources, screening=screening)
    assert spec.source is not None
    return "source", DataSpec(sources={name: spec.source}, screening=screening)


def _loaded(place: str, data: DataSpec, row_type: Any, outputs: Path) -> Rows:
    try:
        return load_rows(data, row_type, outputs)
    except DataError as cause:
        raise DataError(f"{place}: {cause}") from cause


def _built(place: str, plugin: Plugin) -> Any:
    try:
        return plugin.build()
    except (OSError, TypeError, ValueError) as cause:
        raise DataError(f"{place}: {cause}") from cause


def _in_every_way(
    name: str, spec: SuiteSpec, prompts: list[Prompt], outputs: Path
) -> tuple[list[Prompt], list[int] | None]:
    """The questions in every way that `variants` names, and which question stands behind each."""
    if spec.variants is None:
        return prompts, None
    place = f"suites.{name}.examples"
    examples = _loaded(place, spec.examples, Conversation, outputs).train if spec.examples else []
    ways = {key: _built(f"suites.{name}.variants.{key}", item) for key, item in spec.variants.items()}
    try:
        return varied(prompts, ways, examples)
    except ValueError as cause:
        raise DataError(f"suites.{name}.variants: {cause}") from cause


def _by_source(rows: Sequence[Row]) -> dict[str, list[int]]:
    """`source=<name>` -> the rows that come from it, where there are several."""
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        found.setdefault(f"source={row.place.source if row.place else ''}", []).append(number)
    return dict(sorted(found.items())) if len(found) > 1 else {}


def _grouped(prompts: Sequence[Prompt], key: str) -> dict[str, list[int]]:
    """`<key>=<value>` -> the rows whose reference says so, by value."""
    found: dict[str, list[int]] = {}
    for row, prompt in enumerate(prompts):
        if key in prompt.reference:
            value = prompt.reference[key]
            label = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            found.setdefault(f"{key}={label}", []).append(row)
    return dict(sorted(found.items()))
