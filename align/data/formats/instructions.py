"""Instruction rows -> Conversation: the Alpaca family.

Source: Taori et al. 2023, https://github.com/tatsu-lab/stanford_alpaca
"""

from collections.abc import Mapping
from typing import Any

from align.data.formats.fields import optional_text, text
from align.data.records import Conversation, Message, RowError


def alpaca(row: Mapping[str, Any]) -> Conversation:
    """`instruction`, `output`, and where given `input` (context, joined by a blank line) and `system`.

    Raises:
        RowError: a field is missing or not text, or the instruction or the output is blank.
    """
    instruction, output = text(row, "instruction"), text(row, "output")
    context, system = optional_text(row, "input"), optional_text(row, "system")
    for name, value in (("instruction", instruction), ("output", output)):
        if not value.strip():
            raise RowError(f"{name} is blank", kind="blank")
    question = f"{instruction}\n\n{context}" if context.strip() else instruction
    opening = (Message("system", system),) if system.strip() else ()
    return Conversation((*opening, Message("user", question), Message("assistant", output)))
