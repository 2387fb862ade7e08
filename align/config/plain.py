"""Plain: finds things in a composed config while it is still plain mappings, which may hold any mistake."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Plain = dict[str, Any]


def section(plain: Plain, name: str) -> Plain:
    """A mapping by its key, empty where it is absent or no mapping (which the types will complain about)."""
    value = plain.get(name)
    return value if isinstance(value, dict) else {}


def stages_of(plain: Plain) -> Iterator[tuple[str, Plain]]:
    """The stages that are mappings, by name."""
    return ((name, stage) for name, stage in section(plain, "stages").items() if isinstance(stage, dict))


@dataclass(frozen=True)
class Use:
    """A place below a stage, at any depth, that says `{use: <entry>}` for an entry of the corpus."""

    path: tuple[str, ...]
    holder: Plain
    entry: str

    @property
    def extras(self) -> list[str]:
        """What else stands there, and would be lost when the entry takes the place."""
        return [key for key in self.holder[self.path[-1]] if key != "use"]


def uses(value: Plain, path: tuple[str, ...] = ()) -> Iterator[Use]:
    """All uses of the corpus below a mapping; the arguments of a `_target_` leaf are its own affair."""
    for key, item in list(value.items()):
        here = (*path, key)
        if isinstance(item, dict) and "_target_" not in item:
            if "use" in item:
                yield Use(here, value, str(item["use"]))
            else:
                yield from uses(item, here)


def texts(value: Any) -> Iterator[str]:
    """Every text at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def mappings(value: Any) -> Iterator[Plain]:
    """Every mapping at any depth, the outer before the inner."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from mappings(item)
