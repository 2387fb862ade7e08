"""What a DataSpec refuses, and where it says so."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from align.config.plugin import PluginSpec
from align.data.spec import DataSpec

BIND = TypeAdapter(DataSpec)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def source(**fields: Any) -> dict[str, Any]:
    return {"path": "a.jsonl", "format": "alpaca", **fields}


@pytest.mark.parametrize(
    "fields, place, message",
    [
        ({"format": "alpca"}, "sources.x.format", "did you mean alpaca?"),
        ({"format": 3}, "sources.x.format", "no format 3"),
        ({"format": ["alpaca"]}, "sources.x.format", "no format"),
        (
            {"format": {"_target_": "align.nowhere.at_all"}},
            "sources.x.format",
            "cannot import align.nowhere.at_all",
        ),
        ({"format": {"target": "a.b"}}, "sources.x.format", "_target_"),
        ({"hub": {"id": "a/b", "revision": COMMIT}}, "sources.x", "exactly one of `path`"),
        ({"path": None}, "sources.x", "exactly one of `path`"),
        ({"path": None, "hub": {"id": "a/b", "revision": "main"}}, "sources.x.hub", "set unpinned: true"),
        ({"encoding": "utf-99"}, "sources.x", "unknown encoding 'utf-99'"),
        ({"encoding": "utf-16"}, "sources.x", "not ASCII-compatible"),
        ({"weight": 0}, "sources.x.weight", "greater than 0"),
        ({"max_rows": 0}, "sources.x.max_rows", "greater than 0"),
        ({"bad_rows": "ignore"}, "sources.x.bad_rows", "'error' or 'drop'"),
        ({"text_unit": "word"}, "sources.x.text_unit", "'line', 'paragraph' or 'document'"),
        ({"colums": {}}, "sources.x.colums", "Unexpected keyword"),
        ({"filter": {"_target_": "math.nothing"}}, "sources.x.filter", "cannot import math.nothing"),
    ],
)
def test_sources(fields: dict[str, Any], place: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        BIND.validate_python({"sources": {"x": source(**fields)}})
    told = {".".join(map(str, error["loc"])): error["msg"] for error in caught.value.errors()}
    assert any(where.startswith(place) and message in text for where, text in told.items()), told


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"sources": {}}, "no sources: name at least one dataset"),
        ({"sources": {"x": source(weight=1), "y": source()}}, "these have none: y. Weigh all or none"),
        ({"sources": {"x": source()}, "held_out": 1.0}, "held_out 1.0 leaves nothing to train on"),
        ({"sources": {"x": source()}, "held_out": 1.5}, "held_out"),
        ({"sources": {"x": source()}, "held_out": -1}, "held_out"),
    ],
)
def test_mixtures(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BIND.validate_python(fields)


def test_shares_and_numbers_are_told_apart() -> None:
    share = BIND.validate_python({"sources": {"x": source()}, "held_out": 0.25}).held_out
    number = BIND.validate_python({"sources": {"x": source()}, "held_out": 1}).held_out
    assert isinstance(share, float) and isinstance(number, int) and (share, number) == (0.25, 1)


def test_a_format_of_ones_own() -> None:
    given = {"_target_": "align.data.formats.instructions.alpaca"}
    spec = BIND.validate_python({"sources": {"x": source(format=given)}})
    assert spec.sources["x"].format == PluginSpec("align.data.formats.instructions.alpaca")


def test_a_branch_is_admitted_when_said() -> None:
    hub = {"id": "a/b", "revision": "main", "unpinned": True}
    assert BIND.validate_python({"sources": {"x": source(path=None, hub=hub)}}).sources["x"].hub is not None


@pytest.mark.parametrize(
    "format_name", ["alpaca", {"_target_": "align.data.formats.instructions.alpaca"}], ids=["name", "plugin"]
)
def test_what_is_written_down_binds_again(format_name: Any) -> None:
    spec = BIND.validate_python({"sources": {"x": source(format=format_name, weight=2)}, "held_out": 3})
    assert BIND.validate_python(BIND.dump_python(spec, mode="json")) == spec
