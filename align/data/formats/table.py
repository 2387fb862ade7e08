"""Every format by its name in `format:`; a new family is one file here and one line below.

A format is a function of one raw row. It returns a canonical row, or several; where answers are judged one by
one it returns an `Answer`, or several, which are then compared with the others of their prompt.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from align.config.plugin import PluginSpec
from align.data.formats.answers import Answer
from align.data.formats.dialogues import dialogue_text, messages, sharegpt
from align.data.formats.instructions import alpaca, gsm8k, seed_tasks
from align.data.formats.judged import gsm8k_solutions, judged, labelled, scored, voted
from align.data.formats.pairs import pairs, sharegpt_pairs
from align.data.formats.prompts import prompts, turns
from align.data.formats.text import text
from align.data.formats.transcripts import hh
from align.data.records import Row

Made = Row | Answer
Format = Callable[[Mapping[str, Any]], Made | Iterable[Made]]

FORMATS: Mapping[str, Format] = {
    "alpaca": alpaca,
    "seed_tasks": seed_tasks,
    "gsm8k": gsm8k,
    "messages": messages,
    "sharegpt": sharegpt,
    "dialogue_text": dialogue_text,
    "hh": hh,
    "pairs": pairs,
    "sharegpt_pairs": sharegpt_pairs,
    "judged": judged,
    "scored": scored,
    "labelled": labelled,
    "voted": voted,
    "gsm8k_solutions": gsm8k_solutions,
    "prompts": prompts,
    "turns": turns,
    "text": text,
}


def format_of(name: str | PluginSpec) -> Format:
    """The converter that `format:` names: one of the table, or the user's own by `_target_`."""
    return FORMATS[name] if isinstance(name, str) else bound(name)


def bound(plugin: PluginSpec) -> Callable[..., Any]:
    """A row function named by `_target_`: called with the row first, and its configured arguments by name."""
    return partial(plugin.resolve(), **plugin.arguments)
