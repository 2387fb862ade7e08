"""Card: what is known about a dataset, as the front matter of `data_cards/<name>.md`, held against the data.

The front matter is a Hugging Face dataset card's; `align:` holds what the Hub has no strict field for.

Source: Gebru et al. 2021, "Datasheets for datasets", arXiv:1803.09010
"""

import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from align.data.errors import DataError, located
from align.data.generated import generated_folder, materialise
from align.data.languages import is_language
from align.data.licences import spdx
from align.data.readers.delimited import Quoting
from align.data.readers.hub import hub_dataset
from align.data.spec import DataSpec, HubSource, SourceSpec
from align.data.verification import dataset_problems, file_problems

CARDS = Path(__file__).resolve().parents[2] / "data_cards"
FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)

Prose = Annotated[str, Field(min_length=10)]
Count = Annotated[int, Field(ge=0)]
Column = Annotated[str, Field(pattern=r"^(text|number|boolean|list|mapping)\??$")]


def _language(tag: str) -> str:
    if not is_language(tag):
        raise ValueError(f"{tag!r} is no language tag (BCP 47), for instance en, ko, pt-BR")
    return tag


class CardFile(BaseModel):
    """One file; `path` is relative to the data folder. The rows of a plain text file are its lines."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    path: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Count
    rows: Count
    encoding: str = "utf-8"
    quoting: Quoting | None = None


class CardHub(BaseModel):
    """A dataset on the Hub, and the rows of each split."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: str
    config: str | None = None
    splits: dict[str, Count]


class Facts(BaseModel):
    """The `align:` block. A column's kind ends with `?` where it may be null or missing."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    role: Annotated[
        list[Literal["pretraining", "sft", "preference", "prompts", "evaluation"]], Field(min_length=1)
    ]
    source: Prose
    revision: Annotated[str, Field(min_length=1)]
    files: list[CardFile] = []
    hub: CardHub | None = None
    columns: Annotated[dict[str, Column], Field(min_length=1)]
    collection: Prose
    known_biases: Prose
    allowed_uses: Prose
    personal_data: Prose

    @model_validator(mode="after")
    def _is_somewhere(self) -> "Facts":
        if bool(self.files) == (self.hub is not None):
            raise ValueError("give either `files` (local) or `hub`")
        return self


class Card(BaseModel):
    """A whole front matter; keys of the Hub's that are not listed here are left to the Hub."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    pretty_name: Annotated[str, Field(min_length=1)]
    language: Annotated[list[Annotated[str, AfterValidator(_language)]], Field(min_length=1)]
    license: str | list[str]
    license_name: str | None = None
    align: Facts

    @model_validator(mode="after")
    def _has_a_licence(self) -> "Card":
        for name in [self.license] if isinstance(self.license, str) else self.license:
            if name == "other" and not self.license_name:
                raise ValueError("license: other needs `license_name`, which says in words what may be done")
            if name != "other" and spdx(name) is None:
                raise ValueError(f"license: {name!r} is no SPDX identifier known here; else write `other`")
        return self


def read_card(path: Path) -> Card:
    """The front matter of a card file.

    Raises:
        DataError: there is no such file, it has no front matter, or fields do not fit, all told at once.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such card; write one, or leave `card` out to use the data unverified")
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


def card_problems(spec: DataSpec, outputs: Path) -> list[str]:
    """Where the data of a spec disagrees with its cards; sources without a card are not looked at.

    Reads every file once, generates what has a generator, fetches what is on the Hub.
    """
    return [
        problem
        for name, source in spec.sources.items()
        if source.card is not None
        for problem in _source_problems(name, source, source.card, outputs)
    ]


def card_path(source: SourceSpec, card: str, outputs: Path) -> Path:
    """Where a card lies: beside generated files; else in `data_cards/` by name, or where its path says."""
    if source.generator is not None:
        return generated_folder(source.generator, outputs) / card
    return Path(card).expanduser() if card.endswith(".md") else CARDS / f"{card}.md"


def _source_problems(name: str, source: SourceSpec, card: str, outputs: Path) -> list[str]:
    try:
        path = card_path(source, card, outputs)
        facts = read_card(path).align
        if source.hub is not None:
            found = _hub_problems(facts, source.hub)
        else:
            found = _local_problems(facts, source.path or "", materialise(source, outputs))
    except DataError as cause:
        return [f"sources.{name}: {line}" for line in str(cause).splitlines()]
    return [f"sources.{name}: {path}: align.{problem}" for problem in found]


def _local_problems(facts: Facts, named: str, file: Path) -> list[str]:
    for index, stated in enumerate(facts.files):
        if Path(named).parts[-len(Path(stated.path).parts) :] == Path(stated.path).parts:
            return file_problems(f"files[{index}]", stated, facts.columns, file)
    return [f"files: none of them is {named} ({', '.join(stated.path for stated in facts.files) or 'empty'})"]


def _hub_problems(facts: Facts, source: HubSource) -> list[str]:
    if facts.hub is None:
        return [f"hub: the card describes local files, the source reads {source.id} from the Hub"]
    pinned = {
        "hub.id": (facts.hub.id, source.id),
        "hub.config": (facts.hub.config, source.config),
        "revision": (facts.revision, source.revision),
    }
    problems = [
        f"{field}: the card says {stated}, the source {configured}"
        for field, (stated, configured) in pinned.items()
        if stated != configured
    ]
    if source.split not in facts.hub.splits:
        problems.append(f"hub.splits: no split {source.split!r} ({', '.join(facts.hub.splits)})")
    if problems:
        return problems
    return dataset_problems(facts.hub.splits[source.split], facts.columns, hub_dataset(source))


def _where(location: tuple[int | str, ...]) -> str:
    """`("align", "files", 0, "rows")` -> `align.files[0].rows: `."""
    told = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(
        "."
    )
    return f"{told}: " if told else ""
