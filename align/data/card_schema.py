"""Card schema: the front matter of `data_cards/<name>.md`, read and checked field by field.

The front matter is a Hugging Face dataset card's; `align:` holds what the Hub has no strict field for.

Source: Gebru et al. 2021, "Datasheets for datasets", arXiv:1803.09010
"""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from align.data.errors import DataError, located
from align.data.languages import is_language
from align.data.licences import needs_note, spdx
from align.data.readers.delimited import Quoting
from align.data.readers.local import FileKind
from align.data.readers.plain import TextUnit

FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
UNWRITTEN = "TO WRITE"  # how a field begins that describe_data.py leaves to a person


def _written(prose: str) -> str:
    if prose.startswith(UNWRITTEN):
        raise ValueError("still to be written: say what you know, or that it is not known")
    return prose


def _language(tag: str) -> str:
    if not is_language(tag):
        raise ValueError(f"{tag!r} is no language tag (BCP 47), for instance en, ko, pt-BR")
    return tag


def _noted(given: Any) -> Any:
    """A sentence by itself is a note about data that nobody searched."""
    return {"note": given} if isinstance(given, str) else given


Prose = Annotated[str, Field(min_length=10), AfterValidator(_written)]
Count = Annotated[int, Field(ge=0)]
Column = Annotated[str, Field(pattern=r"^(text|number|boolean|list|mapping)\??$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CardFile(_Strict):
    """One file; `path` is relative to the data folder, the rest is how a source reads it."""

    path: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Count
    rows: Count
    split: str = "train"
    encoding: str = "utf-8"
    quoting: Quoting | None = None
    read_as: FileKind | None = None
    text_unit: TextUnit = "line"


class CardHub(_Strict):
    """A dataset on the Hub."""

    id: str
    config: str | None = None


class PersonalData(_Strict):
    """What was searched for personal data, how, how often each kind was found, and what that means.

    `method` is null where nobody has searched.
    """

    scanned: str | None = None
    method: str | None = None
    found: dict[str, Count] = {}
    note: Prose

    @model_validator(mode="after")
    def _says_how(self) -> "PersonalData":
        if (self.scanned is None) != (self.method is None) or (self.found and self.method is None):
            raise ValueError("`scanned`, `method` and `found` go together: what was searched, how, what came")
        return self


class Facts(_Strict):
    """The `align:` block. A column's kind ends with `?` where it may be null or missing.

    `splits` counts the rows of each (files are `train` unless they say otherwise); `evaluation_sets` counts,
    by data set, how many of its prompts this data contains (sets that are not named were not looked for).
    """

    role: Annotated[
        list[Literal["pretraining", "sft", "preference", "prompts", "evaluation"]], Field(min_length=1)
    ]
    source: Prose
    revision: Annotated[str, Field(min_length=1)]
    licence_note: Prose | None = None
    files: list[CardFile] = []
    hub: CardHub | None = None
    splits: dict[str, Count] = {}
    columns: Annotated[dict[str, Column], Field(min_length=1)]
    collection: Prose
    known_biases: Prose
    allowed_uses: Prose
    personal_data: Annotated[PersonalData, BeforeValidator(_noted)]
    evaluation_sets: dict[str, Count] = {}

    @model_validator(mode="after")
    def _is_somewhere(self) -> "Facts":
        if bool(self.files) == (self.hub is not None):
            raise ValueError("give either `files` (local) or `hub`")
        return self

    @model_validator(mode="after")
    def _splits_add_up(self) -> "Facts":
        counted: Counter[str] = Counter()
        for file in self.files:
            counted[file.split] += file.rows
        if self.files and self.splits not in ({}, dict(counted)):
            raise ValueError(f"splits: the files add up to {dict(counted)}, not {self.splits}")
        if self.hub is not None and not self.splits:
            raise ValueError("splits: name the splits on the Hub with their rows")
        return self


class Card(BaseModel):
    """A whole front matter; keys of the Hub's that are not listed here are left to the Hub."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    pretty_name: Annotated[str, Field(min_length=1)]
    language: Annotated[list[Annotated[str, AfterValidator(_language)]], Field(min_length=1)]
    license: str | list[str]
    align: Facts

    @property
    def spdx(self) -> str:
        """The licence as one SPDX expression; several hold together."""
        told = [str(spdx(name)) for name in self._licences]
        return " AND ".join(f"({one})" if " OR " in one and len(told) > 1 else one for one in told)

    @property
    def _licences(self) -> list[str]:
        return [self.license] if isinstance(self.license, str) else self.license

    @model_validator(mode="after")
    def _has_a_licence(self) -> "Card":
        for name in self._licences:
            if needs_note(name) and not self.align.licence_note:
                raise ValueError(
                    f"license: {name} needs align.licence_note, which says in words what may be done"
                )
            if spdx(name) is None:
                raise ValueError(
                    f"license: {name!r} is neither an SPDX licence (https://spdx.org/licenses) nor a name of "
                    "the Hub's; write the exact one, or `other` or `unknown` with align.licence_note"
                )
        return self


def read_card(path: Path) -> Card:
    """The front matter of a card file.

    Raises:
        DataError: there is no such file, it has no front matter, or fields do not fit, all told at once.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such card; write one (scripts/describe_data.py begins it), or leave `card` out to "
            "use the data unverified"
        )
    block = FRONT_MATTER.match(path.read_text(encoding="utf-8"))
    if block is None:
        raise DataError(
            f"{path}:1: no front matter; a card begins with a YAML block between two lines of ---"
        )
    try:
        return Card.model_validate(yaml.safe_load(block.group(1)))
    except yaml.MarkedYAMLError as cause:
        line = cause.problem_mark.line + 2 if cause.problem_mark else None
        raise located(path, line, f"not valid YAML ({cause.problem})") from cause
    except ValidationError as cause:
        told = [
            f"{path}: {_where(error['loc'])}{error['msg'].removeprefix('Value error, ')}"
            for error in cause.errors()
        ]
        raise DataError("\n".join(told)) from cause


def _where(location: tuple[int | str, ...]) -> str:
    """`("align", "files", 0, "rows")` -> `align.files[0].rows: `."""
    told = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(
        "."
    )
    return f"{told}: " if told else ""
