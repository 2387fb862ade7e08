"""A suite of questions in a file, as a user would write it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from align.data.records import Conversation
from align.data.spec import SourceSpec
from align.evaluation.suite import SuiteSpec


@pytest.fixture
def questions(tmp_path: Path, conversations: list[Conversation]) -> Callable[..., SuiteSpec]:
    """A function: options of a SuiteSpec -> the suite, its prompts written below tmp_path."""
    rows = [
        {
            "prompt": row.messages[0].content,
            "reference": {
                "answer": row.messages[1].content,
                "kind": "long" if number % 4 else "short",
                "odd": number % 2 == 1,
            },
        }
        for number, row in enumerate(conversations)
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]), encoding="utf-8")

    def suite(max_rows: int | None = None, **options: object) -> SuiteSpec:
        return SuiteSpec(source=SourceSpec(path=str(path), format="prompts", max_rows=max_rows), **options)

    return suite
