"""JSON arrays are read a block at a time, and say where they are broken as if they were read as a whole."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from align.data.errors import DataError
from align.data.readers import json_array
from align.data.readers.local import local_rows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    rows=st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=6),
    indent=st.none() | st.integers(0, 2),
    block=st.integers(1, 40),
    ascii_only=st.booleans(),
)
def test_rows_do_not_depend_on_the_blocks_they_are_read_in(
    tmp_path: Path, rows: list[dict[str, Any]], indent: int | None, block: int, ascii_only: bool
) -> None:
    path = tmp_path / "a.json"
    text = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    path.write_text(f"\ufeff \n{text}\r\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "BLOCK", block)
        found = list(local_rows(path))
    assert [row for _, row in found] == rows
    if rows and indent is None:
        assert [place for place, _ in found] == [f"2 (row {number})" for number in range(1, len(rows) + 1)]


@pytest.mark.parametrize("block", [1, 7, 2**20])
@pytest.mark.parametrize(
    "content, told",
    [
        (b'[\n{"a": 1},\n {"a" 2}]', ":3: not valid JSON at column 7 (Expecting "),
        (b'[{"a": "b\n"}]', ":1: not valid JSON at column 10 (Invalid control character at)"),
        (b'[{"a": tru}]', ":1: not valid JSON at column 8 (Expecting value)"),
        (b'[{"a": 1}\n\n {"a": 2}]', ":3: the array goes on without"),
        (b'[{"a": 1},\n{"a": "\xea\xb0\x80 \xff"}]', ":2: byte 0xff at column 12 is not utf-8"),
        (b'[{"a": 1}]\n\xea\xb0', ":2: byte 0xea at column 1 is not utf-8"),
        (b'[{"a": 1}, 2]', ":1: a row is int"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, content: bytes, told: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_array, "BLOCK", block)
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(local_rows(path))
    assert str(caught.value).startswith(f"{path}{told}")


def test_memory_does_not_grow_with_the_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five MiB in one line, of which a few blocks of 64 KiB are held at a time."""
    monkeypatch.setattr(json_array, "BLOCK", 2**16)
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"a": f"{number:0250d}"} for number in range(21_000)]))
    tracemalloc.start()
    count = sum(1 for _ in local_rows(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 21_000 and path.stat().st_size > 5 * 2**20 and peak < 2**19
