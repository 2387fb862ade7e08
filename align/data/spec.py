"""What a dataset is, as configuration: sources, format, mixture, split, screening. Torch-free."""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from align.config.plugin import Plugin, PluginSpec
from align.config.spec import LOGISTICS, Bool, ContentMark, Fraction, Int, Positive, PositiveInt, Spec
from align.config.suggest import did_you_mean
from align.data.formats.table import FORMATS
from align.data.readers.local import FileKind

COMMIT = re.compile(r"[0-9a-f]{40}")


def _format_from_yaml(value: Any) -> str | PluginSpec:
    """One of the table's names, or a plugin; decided here, so that an error is told once."""
    if isinstance(value, Mapping | PluginSpec):
        return PluginSpec.from_yaml(value)
    if not isinstance(value, str) or value not in FORMATS:
        known = f"{', '.join(FORMATS)}, or a `_target_` of your own"
        raise ValueError(f"no format {value!r} ({known}){did_you_mean(str(value), FORMATS)}")
    return value


Policy = Literal["error", "drop", "keep"]
BadRows = Literal["error", "drop"]

FormatName = Annotated[str | PluginSpec, BeforeValidator(_format_from_yaml)]


@dataclass(frozen=True, kw_only=True)
class HubSource(Spec):
    """A Hugging Face dataset at a pinned revision (a commit, so that it cannot change under a fingerprint).

    `unpinned: true` admits a branch or a tag; the rows may then change under a cached result.
    """

    id: str
    revision: str
    config: str | None = None
    split: str = "train"
    unpinned: Bool = False

    def __post_init__(self) -> None:
        if not self.unpinned and not COMMIT.fullmatch(self.revision):
            raise ValueError(
                f"revision {self.revision!r} of {self.id} is not a commit of 40 hexadecimal digits: pin "
                "one, or set unpinned: true and accept that the rows may change under a cached result"
            )


@dataclass(frozen=True, kw_only=True)
class PartSpec(Spec):
    """Which part of a dataset a stage gets that others use as well: `shares` names all parts, `take` one.

    Rows with the same opening user turn belong to the same part, whatever shape they have and whichever file
    they stand in, decided by a hash of that turn and `seed` alone: parts are disjoint, and a row stays in its
    own when others come or go. Shares that add up to less than 1 leave the rest to nobody.
    """

    take: str
    shares: Mapping[str, Positive]
    seed: Int = 0

    def __post_init__(self) -> None:
        if self.take not in self.shares:
            known = f"({', '.join(self.shares)}){did_you_mean(self.take, self.shares)}"
            raise ValueError(f"take: no part {self.take!r} among `shares` {known}")
        if (total := sum(self.shares.values())) > 1 + 1e-9:
            raise ValueError(f"shares: they add up to {total:g}, more than the whole; lower them")


@dataclass(frozen=True, kw_only=True)
class SourceSpec(Spec):
    """One dataset: exactly one of `path`, `hub`, or `generator` with a `path` relative to what it writes.

    `path` is a file, or a folder whose files are read one after the other in the order of their names; a
    file is read as its suffix says, or `read_as`.

    `format` names a converter of `align.data.formats`, or is a `_target_` leaf of the user's own. `generator`
    is a `_target_` leaf called with `folder=...`; it writes the files once, keyed by its arguments. `filter`
    and `map` are `_target_` leaves that take and return canonical rows (filter returns a bool); `map` runs
    first.

    `columns` renames, as `{<what the format reads>: <what the file calls it>}`. `card` names
    `data_cards/<card>.md`, or is the path of a card (beside the generated files, where there is a generator);
    data that is not what its card says is refused, or with `allow_unverified` let in and put on record.
    `max_rows` takes the first rows of the file that can be used, `part` those of one part. `bad_rows` decides
    about rows that do not fit: stop with file and line, or drop and count by reason. `text_unit` says what
    one row of a plain text file is; `quoting` whether a table has quoted fields (default: csv has, tsv has
    not). `delimiter` says that a file is a table and what stands between its columns, `header` what these are
    called where the first line does not.
    """

    path: Annotated[str, ContentMark(unless="generator")] | None = None
    hub: HubSource | None = None
    generator: Plugin | None = None
    format: FormatName
    card: Annotated[str | None, LOGISTICS] = None
    allow_unverified: Annotated[Bool, LOGISTICS] = False
    weight: Positive | None = None
    part: PartSpec | None = None
    max_rows: PositiveInt | None = None
    read_as: FileKind | None = None
    encoding: str = "utf-8"
    text_unit: Literal["line", "paragraph", "document"] = "line"
    quoting: Literal["minimal", "none"] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    header: tuple[str, ...] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    bad_rows: BadRows = "error"
    filter: Plugin | None = None
    map: Plugin | None = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.hub is None):
            raise ValueError("give exactly one of `path` (a local file) and `hub` (a Hugging Face dataset)")
        if self.generator is not None and self.hub is not None:
            raise ValueError("`generator` writes local files: it goes with `path`, not with `hub`")
        _check_encoding(self.encoding)


@dataclass(frozen=True, kw_only=True)
class OverlapSpec(Spec):
    """Evaluation sets that nothing may be trained on, and what becomes of rows that share words with them."""

    suites: Mapping[str, SourceSpec]
    policy: Policy = "drop"

    def __post_init__(self) -> None:
        if not self.suites:
            raise ValueError("suites: name at least one evaluation set")


@dataclass(frozen=True, kw_only=True)
class ScreeningSpec(Spec):
    """What becomes of rows that teach nothing, or something wrong; every one is counted, with its place.

    `error` stops before anything trains, `drop` leaves such rows out, `keep` warns. `control_tokens` may also
    be `escape`d: an invisible character keeps the tokenizer from reading them. `too_long` and
    `identical_tokens` are judged after tokenisation; `conflicting_pairs` are two that contradict each other,
    and `drop` takes both. Where the four about turns are null, `bad_rows` of the source decides.

    `near_duplicates` are rows that say almost what an earlier one says, `overlap` has rows that share words
    with what evaluations ask; null does not look. `max_source_share` is the most that one source may
    contribute to the whole: what is more is left out.
    """

    duplicates: Policy = "drop"
    identical_pairs: Policy = "drop"
    conflicting_pairs: Policy = "keep"
    control_tokens: Literal["error", "drop", "escape"] = "error"
    placeholders: Policy = "keep"
    too_long: BadRows = "drop"
    identical_tokens: Policy = "drop"
    blank_turns: BadRows | None = None
    unknown_roles: BadRows | None = None
    unanswered: BadRows | None = None
    turn_order: BadRows | None = None
    near_duplicates: Policy | None = None
    overlap: OverlapSpec | None = None
    max_source_share: Fraction | None = None


@dataclass(frozen=True, kw_only=True)
class DataSpec(Spec):
    """A mixture of sources and its split.

    Without weights the sources are put one after the other, each row once. With weights (all sources or none)
    rows are in proportion to them, no row is lost, and a source that is too small for its share is repeated.

    `held_out` is a share below 1 or a number of rows. Rows with the same opening user turn always fall on the
    same side, decided by a hash of that turn and `seed` alone: the same spec gives every stage the same
    split, and a row stays on its side when others come or go. `max_rows` keeps a sample of that many rows,
    held-out ones included.
    """

    sources: Mapping[str, SourceSpec]
    max_rows: PositiveInt | None = None
    held_out: Fraction | PositiveInt = 0.0
    seed: Int = 0
    screening: ScreeningSpec = field(default_factory=ScreeningSpec)

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("no sources: name at least one dataset")
        unweighted = [name for name, source in self.sources.items() if source.weight is None]
        if unweighted and len(unweighted) < len(self.sources):
            raise ValueError(
                f"some sources have a weight, these have none: {', '.join(unweighted)}. Weigh all or none"
            )
        _check_quota(self.sources, self.screening.max_source_share)
        if isinstance(self.held_out, float) and self.held_out >= 1:
            raise ValueError(
                "held_out 1.0 leaves nothing to train on; give a share below 1, or a number of rows"
            )


def _check_quota(sources: Mapping[str, SourceSpec], share: float | None) -> None:
    """A quota must leave room for all sources, and none may be weighted beyond it."""
    if share is None:
        return
    if share * len(sources) < 1:
        raise ValueError(
            f"screening.max_source_share {share} times {len(sources)} sources is less than the whole; "
            f"give at least {1 / len(sources):.3g}, or add sources"
        )
    weights = {name: source.weight for name, source in sources.items() if source.weight is not None}
    for name, weight in weights.items():
        if weight > share * sum(weights.values()) * (1 + 1e-9):
            raise ValueError(
                f"sources.{name}.weight: {weight / sum(weights.values()):.0%} of the mixture is more than "
                f"screening.max_source_share {share}; lower one or raise the other"
            )


def _check_encoding(name: str) -> None:
    """Files are split into lines before they are decoded, so the line end must be the single byte 0x0a."""
    try:
        ascii_compatible = codecs.encode("a\n", name) == b"a\n" or codecs.lookup(name).name == "utf-8-sig"
    except LookupError as cause:
        raise ValueError(
            f"unknown encoding {name!r}; for instance utf-8, cp949 (older Korean), latin-1"
        ) from cause
    if not ascii_compatible:
        raise ValueError(f"encoding {name!r} is not ASCII-compatible; convert the file to utf-8 first")
