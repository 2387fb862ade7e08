"""Data cards: strict front matter, held against files, rows and columns."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from align.config.plugin import PluginSpec
from align.data.card import CARDS, card_problems, read_card
from align.data.card_review import review, review_cards
from align.data.errors import DataError
from align.data.spec import DataSpec, HubSource, SourceSpec

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = [{"q": "one", "label": 1, "turns": ["a"]}, {"q": "two", "label": None, "turns": []}]
CONTENT = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
PROSE = "Made up for a test of cards."


def front_matter(**facts: Any) -> dict[str, Any]:
    return {
        "pretty_name": "Test",
        "language": ["en", "ko"],
        "license": "cc-by-4.0",
        "size_categories": ["n<1K"],
        "align": {
            "role": ["sft"],
            "source": "https://example.org/test",
            "revision": "1",
            "files": [
                {
                    "path": "set/a.jsonl",
                    "sha256": hashlib.sha256(CONTENT).hexdigest(),
                    "bytes": len(CONTENT),
                    "rows": 2,
                }
            ],
            "columns": {"q": "text", "label": "number?", "turns": "list"},
            "collection": PROSE,
            "known_biases": PROSE,
            "allowed_uses": PROSE,
            "personal_data": PROSE,
            **facts,
        },
    }


def write_card(folder: Path, content: dict[str, Any], name: str = "test.md") -> Path:
    path = folder / name
    path.write_text(f"---\n{yaml.safe_dump(content)}---\n\n# Test\n\nProse.\n", encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "set").mkdir(parents=True)
    (tmp_path / "data" / "set" / "a.jsonl").write_bytes(CONTENT)
    return tmp_path / "data"


def problems_with(card: Path, data: Path) -> list[str]:
    source = SourceSpec(path=str(data / "set" / "a.jsonl"), format="text", card=str(card))
    return card_problems(DataSpec(sources={"x": source}), data.parent)


def test_a_card_that_holds(tmp_path: Path, data: Path) -> None:
    assert problems_with(write_card(tmp_path, front_matter()), data) == []


def test_a_card_is_bound_to_the_bytes(tmp_path: Path, data: Path) -> None:
    card = write_card(tmp_path, front_matter())
    file = data / "set" / "a.jsonl"
    file.write_bytes(CONTENT.replace(b"one", b"six"))
    found = problems_with(card, data)
    assert len(found) == 1
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert found[0].startswith(f"sources.x: {card}: align.files[0].sha256: the card says ")
    assert found[0].endswith(f"{file} has {digest}")


@pytest.mark.parametrize(
    "facts, message",
    [
        (
            {"columns": {"q": "number", "label": "number?", "turns": "list"}},
            "columns.q: the card says number, row 1 has text",
        ),
        (
            {"columns": {"q": "text", "label": "number", "turns": "list"}},
            "columns.label: the card says number, row 2 has null",
        ),
        ({"columns": {"q": "text", "turns": "list"}}, "columns.label: not in the card, but in row 1"),
        (
            {"columns": {"q": "text", "label": "number?", "turns": "list", "a": "text"}},
            "columns.a: the card says text, row 1 has missing",
        ),
    ],
)
def test_columns_are_those_of_the_rows(
    tmp_path: Path, data: Path, facts: dict[str, Any], message: str
) -> None:
    card = write_card(tmp_path, front_matter(**facts))
    assert problems_with(card, data) == [f"sources.x: {card}: align.{message}"]


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("bytes", 1, "align.files[0].bytes: the card says 1, "),
        ("rows", 3, "align.files[0].rows: the card says 3, "),
        ("path", "other/a.jsonl", "align.files: none of them is "),
    ],
)
def test_files_are_what_the_card_says(
    tmp_path: Path, data: Path, field: str, value: Any, message: str
) -> None:
    content = front_matter()
    content["align"]["files"][0][field] = value
    card = write_card(tmp_path, content)
    (found,) = problems_with(card, data)
    assert found.startswith(f"sources.x: {card}: {message}")


def test_a_file_that_cannot_be_read_is_a_problem_too(tmp_path: Path, data: Path) -> None:
    card = write_card(tmp_path, front_matter())
    (data / "set" / "a.jsonl").write_bytes(CONTENT + b"{")
    assert any("a.jsonl:3: not valid JSON" in problem for problem in problems_with(card, data))
    (data / "set" / "a.jsonl").unlink()
    assert any("files[0].path: no such file" in problem for problem in problems_with(card, data))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"license": "apache-2"}, "license: 'apache-2' is no SPDX identifier known here"),
        ({"license": "other"}, "license: other needs `license_name`"),
        ({"license": ["mit", "nonsense"]}, "license: 'nonsense' is no SPDX"),
        ({"language": ["xx"]}, "language[0]: 'xx' is no language tag"),
        ({"language": []}, "language: "),
        ({"language": "en"}, "language: "),
        ({"pretty_name": None}, "pretty_name: "),
    ],
)
def test_the_hubs_fields_are_checked(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    card = write_card(tmp_path, {**front_matter(), **change})
    with pytest.raises(DataError) as caught:
        read_card(card)
    assert str(caught.value).startswith(f"{card}: ") and message in str(caught.value)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"rows": 3}, "align.rows: Extra inputs are not permitted"),
        ({"role": ["training"]}, "align.role[0]: "),
        ({"columns": {"q": "string"}}, "align.columns.q: "),
        ({"personal_data": "none"}, "align.personal_data: "),
        ({"files": []}, "align: give either `files` (local) or `hub`"),
        ({"hub": {"id": "a/b", "splits": {}}}, "align: give either `files` (local) or `hub`"),
    ],
)
def test_our_own_block_is_strict(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    card = write_card(tmp_path, front_matter(**change))
    with pytest.raises(DataError) as caught:
        read_card(card)
    assert f"{card}: {message}" in str(caught.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("# No front matter\n", ":1: no front matter"),
        ("---\na: [1\nb: 2\n---\n", ":3: not valid YAML"),
        ("---\n- a\n---\n", ": Input should be"),
    ],
)
def test_unreadable_cards(tmp_path: Path, text: str, message: str) -> None:
    card = tmp_path / "test.md"
    card.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_card(card)
    assert str(caught.value).startswith(f"{card}{message}")


def test_an_unknown_card_is_a_problem_and_no_card_is_none(tmp_path: Path, data: Path) -> None:
    path = str(data / "set" / "a.jsonl")
    named = DataSpec(sources={"x": SourceSpec(path=path, format="text", card="no_such_card")})
    (found,) = card_problems(named, tmp_path)
    assert found.startswith(f"sources.x: {CARDS / 'no_such_card.md'}: no such card")
    assert card_problems(DataSpec(sources={"x": SourceSpec(path=path, format="text")}), tmp_path) == []


def write_set(folder: Path) -> None:
    """A generator that brings its card."""
    (folder / "set").mkdir()
    (folder / "set" / "a.jsonl").write_bytes(CONTENT)
    write_card(folder, front_matter(), "card.md")


def test_a_generated_card_lies_beside_its_files(tmp_path: Path) -> None:
    source = SourceSpec(
        path="set/a.jsonl", generator=PluginSpec(f"{__name__}.write_set"), format="text", card="card.md"
    )
    spec = DataSpec(sources={"x": source})
    assert card_problems(spec, tmp_path) == []
    next((tmp_path / "datasets").glob("*/set/a.jsonl")).write_bytes(CONTENT * 2)
    assert any("align.files[0].rows: the card says 2" in problem for problem in card_problems(spec, tmp_path))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubSource:
    """A dataset folder, which `datasets` reads as it reads the Hub."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "train.jsonl").write_bytes(CONTENT)
    return HubSource(id=str(tmp_path / "hub"), revision=COMMIT)


@pytest.mark.parametrize(
    "change, message",
    [
        ({}, None),
        ({"revision": "main"}, "revision: the card says main, the source 0123456789abcdef"),
        ({"hub": {"splits": {"test": 2}}}, "hub.splits: no split 'train' (test)"),
        ({"hub": {"splits": {"train": 3}}}, "hub.splits: the card says 3 rows, the split has 2"),
        ({"hub": {"splits": {"train": 2}, "config": "ko"}}, "hub.config: the card says ko, the source None"),
        ({"columns": {"q": "text", "label": "number?"}}, "columns.turns: not in the card, but in row 1"),
    ],
)
def test_hub_cards(tmp_path: Path, hub: HubSource, change: dict[str, Any], message: str | None) -> None:
    facts = {"files": [], "revision": COMMIT, **change}
    facts["hub"] = {"id": hub.id, "splits": {"train": 2}, **change.get("hub", {})}
    card = write_card(tmp_path, front_matter(**facts))
    spec = DataSpec(sources={"x": SourceSpec(hub=hub, format="text", card=str(card))})
    found = card_problems(spec, tmp_path)
    assert (not found) if message is None else found[0].startswith(f"sources.x: {card}: align.{message}")


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
    broken["align"]["files"][0]["rows"] = 5
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
    assert cards == named and len(cards) > 10
    assert [problem for name in cards for problem in review(CARDS / f"{name}.md", tmp_path).problems] == []


def test_every_shipped_card_holds_against_its_files(align_data: Path) -> None:
    reviews = [review(path, align_data) for path in CARDS.glob("*.md")]
    assert [problem for done in reviews for problem in done.problems] == []
    assert sum(done.against == "files, rows and columns" for done in reviews) == 10
