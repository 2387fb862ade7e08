"""Every format by its name in `format:`; a new family is one file here and one line below."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from align.config.plugin import PluginSpec
from align.data.formats.dialogues import messages, sharegpt
from align.data.formats.instructions import alpaca
from align.data.formats.pairs import pairs
from align.data.formats.prompts import prompts
from align.data.formats.text import text
from align.data.formats.transcripts import hh
from align.data.records import Row

Format = Callable[[Mapping[str, Any]], Row]

FORMATS: Mapping[str, Format] = {
    "alpaca": alpaca,
    "messages": messages,
    "sharegpt": sharegpt,
    "hh": hh,
    "pairs": pairs,
    "prompts": prompts,
    "text": text,
}


def format_of(name: str | PluginSpec) -> Format:
    """The converter that `format:` names: one of the table, or the user's own by `_target_`."""
    return FORMATS[name] if isinstance(name, str) else bound(name)


def bound(plugin: PluginSpec) -> Callable[..., Any]:
    """A row function named by `_target_`: called with the row first, and its configured arguments by name."""
    return partial(plugin.resolve(), **plugin.arguments)
