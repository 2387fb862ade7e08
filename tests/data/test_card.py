"""Data cards, held against files, rows and columns."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from align.config.plugin import PluginSpec
from align.data.card import CARDS, card_problems
from align.data.spec import DataSpec, HubSource, SourceSpec
from tests.data.card_files import CONTENT, front_matter, write_card

COMMIT = "0123456789abcdef0123456789abcdef01234567"


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
    content["align"]["splits"]["train"] = content["align"]["files"][0]["rows"]
    card = write_card(tmp_path, content)
    (found,) = problems_with(card, data)
    assert found.startswith(f"sources.x: {card}: {message}")


def test_a_file_that_cannot_be_read_is_a_problem_too(tmp_path: Path, data: Path) -> None:
    card = write_card(tmp_path, front_matter())
    (data / "set" / "a.jsonl").write_bytes(CONTENT + b"{")
    assert any("a.jsonl:3: not valid JSON" in problem for problem in problems_with(card, data))
    (data / "set" / "a.jsonl").unlink()
    assert any("files[0].path: no such file" in problem for problem in problems_with(card, data))


def test_an_unknown_card_is_a_problem_and_no_card_or_one_overridden_is_none(
    tmp_path: Path, data: Path
) -> None:
    path = str(data / "set" / "a.jsonl")
    named = DataSpec(sources={"x": SourceSpec(path=path, format="text", card="no_such_card")})
    (found,) = card_problems(named, tmp_path)
    assert found.startswith(f"sources.x: {CARDS / 'no_such_card.md'}: no such card")
    for fields in ({}, {"card": "no_such_card", "allow_unverified": True}):
        source = SourceSpec(path=path, format="text", **fields)
        assert card_problems(DataSpec(sources={"x": source}), tmp_path) == []


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
        ({"splits": {"test": 2}}, "splits: no split 'train' (test)"),
        ({"splits": {"train": 3}}, "splits: the card says 3 rows, the split has 2"),
        ({"hub": {"config": "ko"}}, "hub.config: the card says ko, the source None"),
        ({"columns": {"q": "text", "label": "number?"}}, "columns.turns: not in the card, but in row 1"),
    ],
)
def test_hub_cards(tmp_path: Path, hub: HubSource, change: dict[str, Any], message: str | None) -> None:
    facts = {"files": [], "revision": COMMIT, **change}
    facts["hub"] = {"id": hub.id, **change.get("hub", {})}
    card = write_card(tmp_path, front_matter(**facts))
    spec = DataSpec(sources={"x": SourceSpec(hub=hub, format="text", card=str(card))})
    found = card_problems(spec, tmp_path)
    assert (not found) if message is None else found[0].startswith(f"sources.x: {card}: align.{message}")
