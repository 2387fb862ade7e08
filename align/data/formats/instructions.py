"""Instruction rows -> Conversation: the Alpaca family, self-instruct's tasks, sums with worked solutions.

Source: Taori et al. 2023, https://github.com/tatsu-lab/stanford_alpaca; Wang et al. 2023, "Self-Instruct",
arXiv:2212.10560; Cobbe et al. 2021, "Training verifiers to solve math word problems", arXiv:2110.14168
"""

import re
from collections.abc import Mapping
from typing import Any

from align.data.formats.fields import optional_text, text, turns
from align.data.records import Conversation, Message, Prompt, RowError

CALCULATOR = re.compile(r"<<[^<>]*>>")
FINAL = "####"


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


def seed_tasks(row: Mapping[str, Any]) -> list[Conversation]:
    """`instruction` with `instances`, a list of `{"input", "output"}`: one conversation for each.

    Raises:
        RowError: a field is missing or malformed.
    """
    shared = {"instruction": text(row, "instruction")}
    return [alpaca({**shared, **instance}) for instance in turns(row, "instances")]


def gsm8k(row: Mapping[str, Any]) -> Conversation:
    """`question`, `answer`: steps, then `#### <number>`; notes for a calculator, `<<…>>`, are cut out.

    Raises:
        RowError: a field is missing or not text, or the answer names no final number.
    """
    question, answer = text(row, "question"), text(row, "answer")
    if not answer.rpartition(FINAL)[1]:
        raise RowError(f"the answer has no final number after {FINAL}")
    return Conversation((Message("user", question), Message("assistant", worked(answer))))


def worked(solution: str) -> str:
    """A solution without its notes for the calculator, such as `<<48/2=24>>`."""
    return CALCULATOR.sub("", solution)


def final_answer(row: Conversation) -> Prompt:
    """A `map` that keeps the question, with the number after `####` as the answer it is to be held against.

    Raises:
        RowError: the last turn names none.
    """
    number = row.messages[-1].content.rpartition(FINAL)[2].strip().replace(",", "")
    if not number:
        raise RowError(f"the answer has no final number after {FINAL}")
    return Prompt(row.messages[:-1], {"answer": number})
