"""Card review: every card of a folder, and every card that is shipped."""

from pathlib import Path

import pytest
import yaml

from align.data.card import CARDS
from align.data.card_review import review, review_cards
from tests.data.card_files import front_matter, write_card


def test_review_says_what_was_checked(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cards = tmp_path / "cards"
    cards.mkdir()
    write_card(cards, front_matter(), "there.md")
    absent = front_matter()
    absent["align"]["files"][0]["path"] = "set/b.jsonl"
    write_card(cards, absent, "absent.md")
    assert review_cards(cards, data) == 0
    assert [review(cards / name, data).against for name in ("there.md", "absent.md")] == [
        "files, rows and columns",
        f"schema only (not in {data})",
    ]
    broken = front_matter()
    broken["align"]["files"][0]["rows"] = broken["align"]["splits"]["train"] = 5
    card = write_card(cards, broken, "broken.md")
    assert review_cards(cards, data) == 2
    assert f"{card}: align.files[0].rows: the card says 5" in capsys.readouterr().out


def test_a_folder_without_cards_is_an_error(tmp_path: Path) -> None:
    assert review_cards(tmp_path, tmp_path) == 2


def test_every_shipped_card_has_a_configuration_and_holds_by_its_schema(tmp_path: Path) -> None:
    cards = {path.stem for path in CARDS.glob("*.md")}
    named = {
        yaml.safe_load(path.read_text(encoding="utf-8")).get("card")
        for path in (CARDS.parent / "conf" / "data").glob("*.yaml")
        if not path.stem.startswith("sandbox")
    }
    assert cards == named and len(cards) > 35
    assert [problem for name in cards for problem in review(CARDS / f"{name}.md", tmp_path).problems] == []


def test_every_shipped_card_holds_against_its_files(align_data: Path) -> None:
    reviews = [review(path, align_data) for path in CARDS.glob("*.md")]
    assert [problem for done in reviews for problem in done.problems] == []
    assert sum(done.against == "files, rows and columns" for done in reviews) == 38
