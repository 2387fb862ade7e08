"""Bad input: every refusal names the file, the line, what is wrong, and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from align.data.errors import DataError
from align.data.records import Conversation, Message, PreferencePair, Prompt, Row, RowError, Text
from align.data.source import load_rows
from align.data.spec import DataSpec

BIND = TypeAdapter(DataSpec)


def one(path: Path, **fields: Any) -> DataSpec:
    return BIND.validate_python({"sources": {"x": {"path": str(path), "format": "alpaca", **fields}}})


def question_and_answer(row: dict[str, str]) -> Conversation:
    """A user's format, which takes too much for granted."""
    if row["text"] == "":
        raise RowError("nothing here")
    question, answer = row["text"].split("|")
    return Conversation((Message("user", question), Message("assistant", answer)))


BAD_ROWS: list[tuple[str, dict[str, Any], type[Row], str]] = [
    ("alpaca", {"instruction": "q", "output": ""}, Conversation, "output is blank"),
    ("alpaca", {"instruction": "q", "output": None}, Conversation, "output is null, expected text"),
    ("alpaca", {"output": "a"}, Conversation, "no field 'instruction'; the row has output"),
    ("messages", {"messages": []}, Conversation, "a conversation has no turns"),
    ("messages", {"messages": [{"role": "user", "content": "q"}]}, Conversation, "ends with user"),
    ("messages", {"messages": [{"role": "usr", "content": "q"}]}, Conversation, "unknown role 'usr'"),
    (
        "messages",
        {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "a"}]},
        Conversation,
        r"turn 1 \(user\) is blank",
    ),
    ("sharegpt", {"conversations": [{"from": "bot", "value": "q"}]}, Conversation, "unknown speaker 'bot'"),
    ("pairs", {"prompt": "", "chosen": "a", "rejected": "b"}, PreferencePair, r"turn 1 \(user\) is blank"),
    (
        "pairs",
        {"prompt": "q", "chosen": "a", "rejected": ""},
        PreferencePair,
        r"turn 2 \(assistant\) is blank",
    ),
    ("prompts", {"prompt": ["q"]}, Prompt, "prompt: turn 1 is str"),
    ("text", {"text": "\n"}, Text, "the text is blank"),
    (
        "alpaca",
        {"instruction": "q", "output": "a"},
        PreferencePair,
        "makes Conversation rows, and PreferencePair rows",
    ),
    (
        "alpaca",
        {"instruction": "<s>", "output": "a"},
        Conversation,
        "'<s>', which the tokenizer reads as a control",
    ),
]


@pytest.mark.parametrize("format_name, row, row_type, message", BAD_ROWS)
def test_a_bad_row_stops_with_file_and_line(
    tmp_path: Path, format_name: str, row: dict[str, Any], row_type: type[Row], message: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"\n{json.dumps(row)}\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"{path}:2: .*{message}"):
        load_rows(one(path, format=format_name), row_type, tmp_path, control_tokens=["<s>"])


def test_what_bad_rows_can_be_dropped_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"instruction": "q", "output": ""}', encoding="utf-8")
    with pytest.raises(DataError, match="Correct the row, or set `bad_rows: drop` on source 'x'"):
        load_rows(one(path), Conversation, tmp_path)


@pytest.mark.parametrize(
    "content, fields, message",
    [
        ("", {}, r"a\.jsonl: holds no rows \(source 'x'\)"),
        (
            '{"instruction": "q", "output": ""}',
            {"bad_rows": "drop"},
            r"a\.jsonl: none of its 1 rows can be used \(source 'x'\): 1 × output is blank",
        ),
        (
            '{"q": "q"}',
            {"columns": {"instruction": "Q"}},
            r"a\.jsonl:1: no column 'Q' \(columns.instruction\); the row has q",
        ),
        ("{", {}, r"a\.jsonl:1: not valid JSON"),
        ("{", {"bad_rows": "drop"}, r"a\.jsonl:1: not valid JSON"),
        (
            '{"text": "no separator"}',
            {"format": {"_target_": f"{__name__}.question_and_answer"}, "bad_rows": "drop"},
            r"a\.jsonl:1: .*question_and_answer failed with ValueError: not enough values",
        ),
        (
            '{"text": ""}',
            {"format": {"_target_": f"{__name__}.question_and_answer"}},
            r"a\.jsonl:1: nothing here\. Correct the row",
        ),
    ],
)
def test_files_that_cannot_be_used(
    tmp_path: Path, content: str, fields: dict[str, Any], message: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load_rows(one(path, **fields), Conversation, tmp_path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl: no such file; check the path, or set ALIGN_DATA"):
        load_rows(one(tmp_path / "nowhere.jsonl"), Conversation, tmp_path)


@pytest.mark.parametrize("content", [b'{"instruction": "caf\xe9", "output": "a"}', "봄".encode("cp949")])
def test_other_encodings_name_the_line_and_the_setting(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"instruction": "q", "output": "a"}\n' + content)
    with pytest.raises(DataError, match=rf"{path}:2: byte 0x\w\w at column \d+ is not utf-8; set `encoding`"):
        load_rows(one(path), Conversation, tmp_path)


def test_a_held_out_part_that_is_everything(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"instruction": "q", "output": "a"}', encoding="utf-8")
    spec = BIND.validate_python({"sources": {"x": {"path": str(path), "format": "alpaca"}}, "held_out": 5})
    with pytest.raises(DataError, match="held_out 5 of 1 rows leaves nothing to train on; lower it"):
        load_rows(spec, Conversation, tmp_path)
