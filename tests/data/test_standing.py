"""Standing: what is read is what a card vouches for, or the record says that nobody does."""

import json
from pathlib import Path
from typing import Any

import pytest

from align.data.errors import DataError
from align.data.records import Text
from align.data.source import Rows, load_rows
from align.data.spec import DataSpec, SourceSpec
from align.data.standing import warnings_in
from tests.data.card_files import CONTENT, front_matter, write_card


def loaded(data: Path, **fields: Any) -> Rows:
    source = SourceSpec(path=str(data / "set" / "a.jsonl"), format="text", columns={"text": "q"}, **fields)
    return load_rows(DataSpec(sources={"mine": source}), Text, data.parent)


def recorded(rows: Rows, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The source as data.json has it, and the warnings that are read out of that file again."""
    file = folder / "data.json"
    file.write_text(json.dumps({"loaded": rows.report.as_dict()}), encoding="utf-8")
    return rows.report.as_dict()["sources"]["mine"], warnings_in(file)


def test_data_that_a_card_vouches_for(tmp_path: Path, data: Path) -> None:
    card = str(write_card(tmp_path, front_matter()))
    for allowed in (False, True):
        source, warnings = recorded(loaded(data, card=card, allow_unverified=allowed), tmp_path)
        assert (source["card_check"], source["card_problems"], warnings) == ("verified", [], [])


def test_a_source_without_a_card_is_let_in_and_told(tmp_path: Path, data: Path) -> None:
    rows = loaded(data)
    source, warnings = recorded(rows, tmp_path)
    assert (len(rows.train), source["card_check"]) == (2, "no card")
    assert warnings == [rows.report.lines()[0]]
    assert warnings[0].startswith("WARNING: mine: no data card")


def test_a_file_that_is_not_the_cards_is_refused_even_where_nobody_checked(
    tmp_path: Path, data: Path
) -> None:
    card = str(write_card(tmp_path, front_matter()))
    (data / "set" / "a.jsonl").write_bytes(CONTENT * 2)
    with pytest.raises(DataError) as caught:
        loaded(data, card=card)
    assert str(caught.value).startswith(f"sources.mine: {card}: align.files: none has the sha256 of ")
    assert "allow_unverified: true" in str(caught.value)


def test_allow_unverified_lets_it_in_loudly(tmp_path: Path, data: Path) -> None:
    card = str(write_card(tmp_path, front_matter()))
    (data / "set" / "a.jsonl").write_bytes(CONTENT * 2)
    rows = loaded(data, card=card, allow_unverified=True)
    source, warnings = recorded(rows, tmp_path)
    assert (rows.report.kept, source["card_check"]) == (2, "overridden")
    told = [problem.partition(": align.")[2].partition(":")[0] for problem in source["card_problems"]]
    assert told == ["files[0].bytes", "files[0].sha256", "files[0].rows"]
    assert warnings == [rows.report.lines()[0]]
    assert "allow_unverified" in warnings[0] and "files[0].sha256" in warnings[0]


def test_allow_unverified_covers_a_card_that_cannot_be_read(tmp_path: Path, data: Path) -> None:
    source, warnings = recorded(loaded(data, card="no_such_card", allow_unverified=True), tmp_path)
    assert source["card_check"] == "overridden" and "no such card" in warnings[0]
    with pytest.raises(DataError, match="no such card"):
        loaded(data, card="no_such_card")


def test_rows_that_lie_on_disk_are_held_against_the_card_of_today(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("align.data.reading.LARGE", 0)
    card = str(write_card(tmp_path, front_matter()))
    for _ in range(2):  # written, then found
        assert recorded(loaded(data, card=card), tmp_path)[0]["card_check"] == "verified"
    content = front_matter()
    content["align"]["files"][0]["sha256"] = "0" * 64
    write_card(tmp_path, content)
    with pytest.raises(DataError, match="none has the sha256 of"):
        loaded(data, card=card)
    overridden = recorded(loaded(data, card=card, allow_unverified=True), tmp_path)
    assert overridden[0]["card_check"] == "overridden" and len(overridden[1]) == 1
