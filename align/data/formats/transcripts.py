r"""Transcript pairs -> PreferencePair: two dialogues written as one string each.

Source: Bai et al. 2022, arXiv:2204.05862, https://github.com/anthropics/hh-rlhf
"""

import re
from collections.abc import Mapping
from typing import Any

from align.data.formats.fields import text
from align.data.formats.pairs import split_at_difference
from align.data.records import Message, PreferencePair, Role, RowError

SPEAKERS: Mapping[str, Role] = {"Human": "user", "Assistant": "assistant"}
MARKER = re.compile(r"(?:\A|\n\n)(Human|Assistant):")


def hh(row: Mapping[str, Any]) -> PreferencePair:
    r"""`chosen`, `rejected`: `\n\nHuman: …\n\nAssistant: …` with everything but the last answer in common.

    Raises:
        RowError: a field is missing or not text, a transcript does not begin with a speaker, or the two have
            no prompt in common.
    """
    return split_at_difference(transcript(text(row, "chosen")), transcript(text(row, "rejected")))


def transcript(dialogue: str) -> tuple[Message, ...]:
    """The turns of one dialogue, white space around each removed.

    Raises:
        RowError: text stands before the first speaker, or there is no speaker at all.
    """
    head, *rest = MARKER.split(dialogue)
    if head.strip() or not rest:
        raise RowError("a transcript must begin with 'Human:' or 'Assistant:'")
    return tuple(
        Message(SPEAKERS[speaker], content.strip())
        for speaker, content in zip(rest[::2], rest[1::2], strict=True)
    )
