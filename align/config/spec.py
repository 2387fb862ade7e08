"""Spec: the base of every configuration dataclass, and the constrained types their fields use."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

Positive = Annotated[float, Field(gt=0, strict=True)]
NonNegative = Annotated[float, Field(ge=0, strict=True)]
Fraction = Annotated[float, Field(ge=0, le=1, strict=True)]
PositiveInt = Annotated[int, Field(gt=0, strict=True)]
NonNegativeInt = Annotated[int, Field(ge=0, strict=True)]
Bool = Annotated[bool, Field(strict=True)]
Int = Annotated[int, Field(strict=True)]


@dataclass(frozen=True)
class ModelMark:
    """Marks a string that names weights: `stage:<name>`, a local folder, or a Hub id."""


@dataclass(frozen=True)
class ContentMark:
    """Marks a string that is a path: the file's bytes are identity, where it lies is not.

    `unless` names a field of the same dataclass: where that is set, the file is made from it, and the path's
    own text is identity.
    """

    unless: str | None = None


@dataclass(frozen=True)
class LogisticsMark:
    """Marks a field that never enters a fingerprint."""


REFERENCE_PREFIX = "stage:"
ModelRef = Annotated[str, ModelMark()]
ContentPath = Annotated[str, ContentMark()]
LOGISTICS = LogisticsMark()


class Spec:
    """A frozen dataclass that is bound from YAML; an unknown key is an error.

    Subclasses are decorated with `@dataclass(frozen=True, kw_only=True)`. Cross-field checks live in
    `__post_init__` and raise ValueError, so that binding collects them with their dotted path.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
