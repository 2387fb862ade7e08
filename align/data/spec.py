"""What a dataset is, as configuration: sources, format, mixture, split, screening. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from align.config.plugin import Plugin
from align.config.spec import Bool, ContentPath, Fraction, Int, Positive, PositiveInt, Spec


@dataclass(frozen=True, kw_only=True)
class HubSource(Spec):
    """A Hugging Face dataset at a pinned revision (a commit, so that it cannot change under a fingerprint)."""

    id: str
    revision: str
    config: str | None = None
    split: str = "train"


@dataclass(frozen=True, kw_only=True)
class SourceSpec(Spec):
    """One dataset: exactly one of `path`, `hub`, or `generator` with a `path` relative to what it writes.

    `format` names a converter of `align.data.formats`, or is a `_target_` leaf of the user's own.
    `generator` is a `_target_` leaf called with `folder=...`; it writes the files once, keyed by its arguments.
    `filter` and `map` are `_target_` leaves that take and return canonical rows (filter returns a bool).
    """

    path: ContentPath | None = None
    hub: HubSource | None = None
    generator: Plugin | None = None
    format: str | Plugin
    card: str | None = None
    weight: Positive = 1.0
    max_rows: PositiveInt | None = None
    encoding: str = "utf-8"
    filter: Plugin | None = None
    map: Plugin | None = None


@dataclass(frozen=True, kw_only=True)
class ScreeningSpec(Spec):
    """What is dropped before training; every drop is counted by reason."""

    duplicates: Bool = True
    identical_pairs: Bool = True
    control_tokens: Literal["error", "drop", "keep"] = "error"


@dataclass(frozen=True, kw_only=True)
class DataSpec(Spec):
    """A mixture of sources and its split.

    With one source `weight` is irrelevant; with several, rows are drawn in proportion to their weights, a source
    being repeated (over-sampled) where it is too small. `held_out` is a share below 1 or a number of rows.
    """

    sources: Mapping[str, SourceSpec]
    max_rows: PositiveInt | None = None
    held_out: Fraction | PositiveInt = 0.0
    seed: Int = 0
    screening: ScreeningSpec = field(default_factory=ScreeningSpec)
