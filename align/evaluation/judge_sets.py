"""Judge sets: published verdicts on pairs of answers -> preference pairs, as row formats for `_target_`.

A judge or a reward model agrees with such a set as often as it prefers what was preferred there.
"""

import re
from collections.abc import Mapping
from typing import Any

from align.data.formats.fields import field, text
from align.data.records import Message, PreferencePair, RowError

_WRAPPED = re.compile(
    r"###The instruction to evaluate:\n(.*?)\n\n###Response to evaluate:\n(.*?)\n\n###Score Rubrics:",
    re.DOTALL,
)


def judged(
    row: Mapping[str, Any], prompt: str = "instruction", verdict: str = "preference"
) -> PreferencePair:
    """`output_1` and `output_2`, and which is better: 1, 2, or what lies between them in weighted verdicts.

    Raises:
        RowError: a field is missing, or nobody is better (0, 1.5, null).
    """
    value = field(row, verdict)
    if value in (None, 0, 1.5):
        raise RowError(f"{verdict} is {value}: neither is better", reason="neither is better")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 2:
        raise RowError(f"{verdict} is {value!r}, expected 1 to 2, 0 or null", reason="no verdict")
    first, second = (Message("assistant", text(row, f"output_{number}")) for number in (1, 2))
    chosen, rejected = (first, second) if value < 1.5 else (second, first)
    return PreferencePair((Message("user", text(row, prompt)),), (chosen,), (rejected,))


def hhh(row: Mapping[str, Any]) -> PreferencePair:
    """HHH Alignment as Prometheus ships it: either answer inside a request to grade it, here taken out again.

    Raises:
        RowError: the request is worded in another way, or the two ask different things.
    """
    parts = [_WRAPPED.search(text(row, f"{side}_instruction")) for side in ("chosen", "rejected")]
    if parts[0] is None or parts[1] is None or parts[0][1] != parts[1][1]:
        raise RowError("the two requests to grade do not hold one instruction", reason="not HHH's wording")
    chosen, rejected = (Message("assistant", part[2]) for part in parts if part)
    return PreferencePair((Message("user", parts[0][1]),), (chosen,), (rejected,))
