"""Rows: tokenised for training, with a record of what was read, dropped, and what languages cost."""

import json
from pathlib import Path

import pytest

from align.artifacts.store import ArtifactDir
from align.data.records import Conversation, Message, Place, PreferencePair
from align.data.report import Report, SourceReport
from align.data.row_file import RowFile, RowWriter
from align.data.source import Rows
from align.models.tokenizer import load_tokenizer
from align.runtime.token_checks import SAME_TOKENS, TOO_LONG
from align.training import token_cache
from align.training import tokenise as tokenising
from align.training.rows import tokenised_split
from align.training.token_cache import sides
from align.training.token_columns import ConversationColumns, PairColumns
from align.training.tokenise import tokenise


def test_the_rows_too_long_are_told_language_by_language(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    texts = [f"the red fox number {number} " * (1 + number % 3) for number in range(9)]
    texts += ["강 위의 배 " * (1 + number % 4) for number in range(8)]
    rows = [Conversation((Message("user", text), Message("assistant", "it is so"))) for text in texts]
    output = ArtifactDir(tmp_path / "sft-0123456789ab")
    loaded = Rows(rows, [], Report({"mine": SourceReport("mine.jsonl")}))
    tokenised_split(loaded, output, tmp_path, ConversationColumns(tokenizer, 60))
    costs = json.loads(output.languages.read_text())
    dropped = json.loads(output.data.read_text())["tokenised"]["train"]["dropped"]
    assert (costs["looked_at"], costs["expected"]) == (17, ["en", "ko"])
    assert {tag: found["rows"] for tag, found in costs["languages"].items()} == {"en": 9, "ko": 8}
    assert sum(found["too_long"] for found in costs["languages"].values()) == dropped > 0
    assert costs["languages"]["ko"]["tokens_per_hangul_character"] == 3.0  # nobody showed it Korean


def test_the_check_and_the_stage_share_their_tokens_and_processes_make_the_same(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = load_tokenizer(str(tiny_model), chat_template="chatml")
    said = [("the red fox", "runs"), ("강 위의 배", "가다"), ("so", "it is " * 900)]
    rows = [
        PreferencePair(
            (Message("user", f"{asked} {number}"),),
            (Message("assistant", answer),),
            (Message("assistant", "no" if number % 7 else answer),),
            margin=1.0 if number == 40 else None,
            place=Place("x", "x.jsonl", str(number % 90)),
        )
        for number in range(100)
        for asked, answer in said[number % 3 :][:1]
    ]
    writer = RowWriter(tmp_path / "rows")
    for row in rows:
        writer.append(row, 0.0)
    writer.close()
    there = Rows(RowFile(tmp_path / "rows"), [], Report({}), "key")
    maker = PairColumns(tokenizer, 200)
    here = tokenise(rows, maker)
    assert {item.reason for item in here.findings} == {TOO_LONG, SAME_TOKENS} and here.dropped > 30
    with monkeypatch.context() as patch:
        patch.setattr(tokenising, "SHARED", 0)
        patch.setattr(tokenising, "CHUNK", 30)
        patch.setattr(tokenising, "cores", lambda: 2)
        made = sides(there, maker, tmp_path)["train"]
    monkeypatch.setattr(token_cache, "tokenise", lambda *_: pytest.fail("tokenised again"))
    for found in (made, sides(there, PairColumns(tokenizer, 200), tmp_path)["train"]):
        assert found.dataset.to_dict() == here.dataset.to_dict() and found.dropped == here.dropped
        assert found.dataset.features == here.dataset.features
        assert [item.as_dict() for item in found.findings] == [item.as_dict() for item in here.findings]
    monkeypatch.setattr(token_cache, "tokenise", lambda rows, maker, into: tokenise(rows, maker, into))
    for other in (PairColumns(tokenizer, 2000), PairColumns(tokenizer, 200, joined=True)):
        assert sides(there, other, tmp_path)["train"].dataset.to_dict() != here.dataset.to_dict()
