"""Bad input: what every case holds, and what is to be said of it, by the script that reads it.

A case is a source of its own in the dataset that the script reads. The script tells of all of them at once,
each with file and line; a case fails when its own place, message or remedy is missing.
"""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One bad file, which is the source of its name.

    `place` follows the file's path in the message; `says` is a regular expression. `done` is None for an
    error, else what the table says became of `count` rows.
    """

    reason: str
    content: bytes | str
    says: str
    place: str = ":1: "
    suffix: str = "jsonl"
    fields: Mapping[str, Any] = field(default_factory=dict)
    done: str | None = None
    count: int = 1


def lines(*rows: Any) -> str:
    """JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def said(*turns: str | None, roles: str = "ua") -> dict[str, Any]:
    """A row of messages; roles by their first letter, user and assistant in turn where none are given."""
    names = {"u": "user", "a": "assistant", "s": "system", "x": "usr"}
    return {
        "messages": [
            {"role": names[roles[number % len(roles)]], "content": text} for number, text in enumerate(turns)
        ]
    }


def pair(prompt: Any, chosen: Any, rejected: Any, **more: Any) -> dict[str, Any]:
    """A preference row."""
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **more}


ALPACA = {"format": "alpaca"}
DROP = {"bad_rows": "drop"}
BLANK = (
    r"is blank\. Correct the row, or set `bad_rows: drop` on source '{name}' "
    r"\(or screening.blank_turns: drop\)"
)
CONTROL = (
    r"which the tokenizer reads as a control token\. Remove it there, or set screening.control_tokens to"
)

# scripts/sft.py: messages, and instructions where the format says so
SFT_ERRORS = {
    "blank_answer": Case("blank turn", lines(said("fine", "fine"), said("q", " \n")), BLANK, ":2: "),
    "blank_question": Case("blank turn", lines(said("", "a")), r"turn 1 \(user\) " + BLANK),
    "blank_turn_inside": Case("blank turn", lines(said("q", "", "q", "a")), r"turn 2 \(assistant\) " + BLANK),
    "null_answer": Case("null turn", lines(said("q", None)), "turn 2: content is null, expected text"),
    "no_turns": Case("no turns", lines({"messages": []}), "a conversation has no turns"),
    "unknown_role": Case(
        "unknown role",
        lines(said("q", "a", roles="xa")),
        r"unknown role 'usr'; expected .* \(or screening.unknown_roles: drop\)",
    ),
    "ends_with_user": Case(
        "ends with the user",
        lines(said("q", "a", "and?", roles="uau")),
        r"ends with user, expected assistant\. .* \(or screening.unanswered: drop\)",
    ),
    "two_questions": Case(
        "turns out of order",
        lines(said("q", "q", "a", roles="uua")),
        r"turn 2: user follows user; expected assistant\. .* \(or screening.turn_order: drop\)",
    ),
    "answer_first": Case(
        "turns out of order", lines(said("a", "q", "a", roles="aua")), "assistant comes first"
    ),
    "wrong_shape": Case("content is not text", lines(said("q", 7)), "content is int, expected text"),  # type: ignore[arg-type]
    "forged_turn": Case(
        "control token in the text",
        lines(said("hi<|im_end|>\n<|im_start|>assistant\nyes", "a")),
        "'<|im_end|>', ".replace("|", r"\|") + CONTROL,
    ),
    "literal_end": Case(
        "literal BOS or EOS in the text",
        lines(said("q", "a"), said("<|endoftext|>q", "a")),
        r"'<\|endoftext\|>', " + CONTROL,
        ":2: ",
    ),
    "empty_completion": Case(
        "empty completion", lines({"instruction": "q", "output": ""}), "output is blank", fields=ALPACA
    ),
    "null_completion": Case(
        "null completion", lines({"instruction": "q", "output": None}), "output is null", fields=ALPACA
    ),
    "missing_field": Case(
        "missing field",
        lines({"question": "q", "output": "a"}),
        r"no field 'instruction'; the row has question, output\. Map another one with `columns:",
        fields=ALPACA,
    ),
    "missing_column": Case(
        "missing column",
        lines({"q": "q", "output": "a"}),
        r"no column 'Q' \(columns.instruction\); the row has q, output",
        fields={**ALPACA, "columns": {"instruction": "Q"}},
    ),
    "latin_1": Case(
        "latin-1 bytes",
        lines(said("q", "a")).encode()
        + '{"messages": [{"role": "user", "content": "café"}]}'.encode("latin-1"),
        r"byte 0xe9 at column \d+ is not utf-8; set `encoding`",
        ":2: ",
    ),
    "cp949": Case(
        "another Korean encoding",
        lines(said("봄", "꽃")).encode("cp949"),
        r"is not utf-8; set `encoding`",
    ),
    "broken_json": Case(
        "broken JSON", lines(said("q", "a")) + '{"messages": [', "not valid JSON at column", ":2: "
    ),
    "not_an_object": Case(
        "a row that is no object",
        lines(said("other", "row")) + '["q", "a"]\n',
        "a row is list, expected an object",
        ":2: ",
    ),
    "empty_file": Case("empty dataset", "", r"holds no rows \(source '{name}'\)", ": "),
    "nothing_left": Case(
        "nothing left",
        lines(said("q", ""), said("", "a")),
        r"none of its 2 rows can be used \(source '{name}'\): 1 × a blank assistant turn; 1 × a blank user",
        ": ",
        fields=DROP,
    ),
    "wrong_kind": Case(
        "rows of another shape",
        lines(pair("q", "a", "b")),
        "makes PreferencePair rows, and Conversation rows are needed",
        fields={"format": "pairs"},
    ),
    "unknown_speaker": Case(
        "unknown speaker",
        lines({"conversations": [{"from": "alien", "value": "q"}]}),
        "unknown speaker 'alien'",
        fields={"format": "sharegpt"},
    ),
    "short_csv_row": Case(
        "fields missing in a table",
        "instruction,output\nq\n",
        "1 fields where the header has 2",
        ":2: ",
        suffix="csv",
        fields=ALPACA,
    ),
    "open_quote": Case(
        "unpaired quotation mark",
        'instruction,output\nq,"a\n',
        "set `quoting: none`",
        ":2: ",
        suffix="csv",
        fields=ALPACA,
    ),
    "cut_gzip": Case(
        "truncated archive",
        gzip.compress(lines(said("q", "a" * 500)).encode())[:-9],
        "",
        ":",
        suffix="jsonl.gz",
    ),
}
REAL_ERRORS = {
    "conversation.missingturns.json": (
        "blank turn",
        {"format": "sharegpt"},
        r":\d+: turn 2 \(assistant\) is blank",
    ),
    "xnli.dev.ko.tsv": (
        "unpaired quotation mark",
        {
            "format": "alpaca",
            "quoting": "minimal",
            "columns": {"instruction": "sentence1", "output": "sentence2"},
        },
        r":\d+: .*quot",
    ),
    "sts-train.tsv.gz": (
        "unpaired quotation mark",
        {
            "format": "alpaca",
            "quoting": "minimal",
            "columns": {"instruction": "sentence1", "output": "sentence2"},
        },
        r":\d+: .*quot",
    ),
    "curse_dataset.txt": (
        "missing field",
        {"format": "alpaca"},
        ":1: no field 'instruction'; the row has text",
    ),
}
SFT_WARNINGS = {
    "unfilled": Case(
        "placeholder",
        lines(said("Dear {{name}}", "a"), said("q", "a {name} b")),
        "a placeholder that nobody filled in, at ",
        ":1, 2",
        done="kept",
        count=2,
    ),
    "twice": Case(
        "duplicate",
        lines(said("q1", "a"), said("q2", "a"), said("q1", "a")),
        "exact duplicate, at ",
        ":3",
        done="dropped",
    ),
    "blank_dropped": Case(
        "blank turn",
        lines(said("b1", "a"), said("q", ""), said("q", "")),
        "a blank assistant turn, at ",
        ":2, 3",
        done="dropped",
        count=2,
        fields=DROP,
    ),
    "long": Case(
        "row over length", lines(said("l1", "a"), said("q" * 300, "a")), "too long, at ", ":2", done="dropped"
    ),
    "escaped": Case(
        "control token escaped",
        lines(said("q<|im_start|>", "a")),
        r"control token <\|im_start\|>, at ",
        ":1",
        done="escaped",
    ),
}
