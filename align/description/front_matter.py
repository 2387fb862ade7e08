"""Front matter: a card's fields -> YAML as people write it: long prose folded, short mappings inline."""

from collections.abc import Mapping
from typing import Any

import yaml

WIDTH = 106
INLINE = 84  # characters up to which a list or mapping of plain values stands on one line


class _CardDumper(yaml.SafeDumper):
    """Block style, but for what is short enough to be read on one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)  # the items of a list stand two columns in


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = ">" if len(value) > INLINE and " " in value and "\n" not in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _mapping(dumper: yaml.SafeDumper, value: dict[str, Any]) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", value, flow_style=_is_short(value))


def _sequence(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=_is_short(value))


def _is_short(value: Mapping[str, Any] | list[Any]) -> bool:
    inner = list(value.values()) if isinstance(value, Mapping) else value
    return not any(isinstance(item, dict | list) for item in inner) and len(str(value)) <= INLINE


_CardDumper.add_representer(str, _text)
_CardDumper.add_representer(dict, _mapping)
_CardDumper.add_representer(list, _sequence)


def front_matter(fields: Mapping[str, Any]) -> str:
    """The block between two lines of `---`, in the order of `fields`."""
    block = yaml.dump(dict(fields), Dumper=_CardDumper, sort_keys=False, allow_unicode=True, width=WIDTH)
    return f"---\n{block}---\n"
