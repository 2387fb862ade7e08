"""Describing: what is measured is what stands in the data, and what people wrote stays."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from align.data.card_review import review
from align.data.card_schema import FRONT_MATTER, read_card
from align.data.errors import DataError
from align.data.verification import file_problems
from align.description.command import main

ROWS = [
    {"instruction": "What is the capital of Korea?", "output": "Seoul. Write to kim@mail.kr for more."},
    {"instruction": "한국의 수도는 어디인가요?", "output": "서울입니다. 대한민국에서 가장 큰 도시입니다."},
    {"instruction": "한국의 수도는 어디인가요?", "output": "서울입니다. 대한민국에서 가장 큰 도시입니다."},
    {"instruction": "Name a river.", "output": ""},
]


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rows; cards are written beside them."""
    (tmp_path / "cards").mkdir()
    (tmp_path / "mine.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8"
    )
    monkeypatch.setattr("align.description.describe.CARDS", tmp_path / "cards")
    return tmp_path


def describe(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> int:
    command = ["describe_data.py", str(folder / "mine.jsonl"), "--data", str(folder), *words]
    monkeypatch.setattr(sys, "argv", command)
    return main()


def test_a_first_card_holds_all_but_what_people_have_to_write(
    described: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert describe(monkeypatch, described, "--write", "--max-length", "20") == 0
    card = described / "cards" / "mine.md"
    text = card.read_text(encoding="utf-8")
    block = FRONT_MATTER.match(text)
    assert block is not None
    facts = yaml.safe_load(block.group(1))["align"]
    assert facts["splits"] == {"train": 4} and facts["columns"] == {"instruction": "text", "output": "text"}
    assert facts["personal_data"]["found"] == {"email": 1}
    assert "Rows read: 4; rows that can be used: 3." in text
    table = [line.split(" | ") for line in text.splitlines() if line.startswith(("| ko |", "| en |"))]
    assert [(cells[0], cells[1]) for cells in table] == [("| ko", "2"), ("| en", "1")]
    assert "tokens per Hangul character | over 20 |" in text
    assert "    user: What is the capital of Korea?" in text
    with pytest.raises(DataError) as caught:
        read_card(card)
    told = str(caught.value)
    assert all(
        f"align.{name}: still to be written" in told for name in ("source", "collection", "known_biases")
    )


def test_a_card_brought_up_to_date_keeps_its_prose_and_holds(
    described: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = described / "cards" / "mine.md"
    describe(monkeypatch, described, "--write")
    written = card.read_text(encoding="utf-8").replace("TO WRITE: ", "As somebody wrote: ")
    card.write_text(written.replace("# mine\n", "# mine\n\nMade for a test.\n"), encoding="utf-8")
    (described / "mine.jsonl").write_text(json.dumps(ROWS[0]) + "\n", encoding="utf-8")
    assert review(card, described).problems  # the rows are others now
    assert describe(monkeypatch, described, "--write", "--no-sample") == 0
    text = card.read_text(encoding="utf-8")
    assert text.count("## Measured") == 1 and "Made for a test." in text and "The first row" not in text
    facts = read_card(card).align
    assert facts.collection.startswith("As somebody wrote: ") and facts.splits == {"train": 1}
    assert file_problems("files[0]", facts.files[0], facts.columns, described / "mine.jsonl") == []
    assert review(card, described).problems == ()
    describe(monkeypatch, described, "--write", "--no-sample")
    assert card.read_text(encoding="utf-8") == text


def test_what_cannot_be_described_is_told(
    described: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (described / "mine.jsonl").write_text('{"strange": 1}\n', encoding="utf-8")
    assert describe(monkeypatch, described) == 2
    assert "no format fits its first rows; name one with --format (alpaca, " in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["describe_data.py", "no_such_dataset"])
    assert main() == 2
    assert "no dataset 'no_such_dataset' in " in capsys.readouterr().err
