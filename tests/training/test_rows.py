"""Rows: tokenised for training, with a record of what was read, dropped, and what languages cost."""

import json
from pathlib import Path

from align.artifacts.store import ArtifactDir
from align.data.records import Conversation, Message
from align.data.report import Report, SourceReport
from align.data.source import Rows
from align.models.tokenizer import load_tokenizer
from align.training.rows import tokenised_split
from align.training.tokenise import tokenise_conversations


def test_the_rows_too_long_are_told_language_by_language(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    texts = [f"the red fox number {number} " * (1 + number % 3) for number in range(9)]
    texts += ["강 위의 배 " * (1 + number % 4) for number in range(8)]
    rows = [Conversation((Message("user", text), Message("assistant", "it is so"))) for text in texts]
    output = ArtifactDir(tmp_path / "sft-0123456789ab")
    loaded = Rows(rows, [], Report({"mine": SourceReport("mine.jsonl")}))
    tokenised_split(
        loaded,
        output,
        tmp_path,
        lambda part, file: tokenise_conversations(part, tokenizer, 60, into=file),
        tokenizer,
    )
    costs = json.loads(output.languages.read_text())
    dropped = json.loads(output.data.read_text())["tokenised"]["train"]["dropped"]
    assert (costs["looked_at"], costs["expected"]) == (17, ["en", "ko"])
    assert {tag: found["rows"] for tag, found in costs["languages"].items()} == {"en": 9, "ko": 8}
    assert sum(found["too_long"] for found in costs["languages"].values()) == dropped > 0
    assert costs["languages"]["ko"]["tokens_per_hangul_character"] == 3.0  # nobody showed it Korean
