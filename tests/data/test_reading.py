"""Rows of large sources: on disk, the same as in memory, kept for who asks next, and of no use to others."""

import hashlib
import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from align.data import reading
from align.data.errors import DataError
from align.data.records import Conversation, Message, PreferencePair, Prompt, Row, Text
from align.data.row_file import BLOCK, ROWS, Chosen, RowFile, RowWriter
from align.data.source import load_rows
from align.data.spec import DataSpec

BIND = TypeAdapter(DataSpec)
TEXT = st.text(st.characters(exclude_categories=[]), max_size=8)  # lone surrogates too
MESSAGES = st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), TEXT), max_size=3).map(tuple)
REFERENCE = st.dictionaries(
    st.text(max_size=3), st.none() | st.integers() | st.floats(allow_nan=False) | TEXT
)
ROW = st.one_of(
    st.builds(Text, TEXT),
    st.builds(Conversation, MESSAGES),
    st.builds(PreferencePair, MESSAGES, MESSAGES, MESSAGES, st.none() | st.floats(allow_nan=False)),
    st.builds(Prompt, MESSAGES, REFERENCE),
)


def written(path: Path, size: int, name: str = "q") -> str:
    lines = [json.dumps({"instruction": f"{name}{number}", "output": "a"}) for number in range(size)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def mixture(folder: Path, **fields: Any) -> DataSpec:
    sources = {
        name: {"path": written(folder / f"{name}.jsonl", size, name), "format": "alpaca", "weight": weight}
        for name, size, weight in (("a", 150, 1), ("b", 40, 2), ("c", 7, 1))
    }
    return BIND.validate_python({"sources": sources, **fields})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(ROW, min_size=1, max_size=2 * BLOCK + 3), st.data())
def test_rows_come_back_as_they_went_in(tmp_path: Path, rows: list[Row], data: st.DataObject) -> None:
    writer = RowWriter(tmp_path)
    for number, row in enumerate(rows):
        writer.append(row, number / 7)
    writer.close()
    file = RowFile(tmp_path)
    assert list(file) == rows and len(file) == len(rows) and file[-1] == rows[-1]
    assert list(file.ranks) == [number / 7 for number in range(len(rows))]
    numbers = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=20))
    picked = Chosen(file, numbers)
    assert list(picked) == [rows[number] for number in numbers] == picked[:]
    assert picked[1:3] == [rows[number] for number in numbers[1:3]]


def test_a_file_that_names_anything_but_rows_is_refused(tmp_path: Path) -> None:
    writer = RowWriter(tmp_path)
    writer.append(Text("a"), 0.0)
    writer.close()
    for guilty in (print, Path("x")):
        content = pickle.dumps([guilty]).ljust((tmp_path / ROWS).stat().st_size, b".")
        (tmp_path / ROWS).write_bytes(content)
        (tmp_path / "ends.i64").write_bytes(len(content).to_bytes(8, "little"))
        with pytest.raises(pickle.UnpicklingError, match="is no part of a row"):
            RowFile(tmp_path)[0]


@pytest.mark.parametrize(
    "fields", [{}, {"held_out": 0.2}, {"held_out": 9, "max_rows": 60}, {"seed": 3, "max_rows": 100}]
)
def test_rows_on_disk_are_those_in_memory(
    tmp_path: Path, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = mixture(tmp_path, **fields)
    here = load_rows(spec, Conversation, tmp_path)
    assert here.key is None and isinstance(here.train, list) and not (tmp_path / "rows").exists()
    monkeypatch.setattr(reading, "LARGE", 0)
    for _ in range(2):  # made, then found
        there = load_rows(spec, Conversation, tmp_path)
        assert (list(there.train), list(there.held_out)) == (here.train, here.held_out)
        assert there.report.as_dict() == here.report.as_dict()
    assert there.train_spans().keys() == {"a", "b", "c"}
    for name, span in there.train_spans().items():
        assert all(there.train[number].messages[0].content.startswith(name) for number in span)


def test_pairs_that_a_later_one_contests_are_withdrawn_from_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"q{number}", "chosen": "a", "rejected": "b"} for number in range(100)]
    rows += [{"prompt": f"q{number}", "chosen": "b", "rejected": "a"} for number in (3, 70)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    sources = {"x": {"path": str(path), "format": "pairs"}}
    spec = BIND.validate_python(
        {"sources": sources, "screening": {"conflicting_pairs": "drop"}, "held_out": 0.2}
    )
    here = load_rows(spec, PreferencePair, tmp_path)
    assert here.report.kept == 98 and here.report.rows_in == 102
    monkeypatch.setattr(reading, "LARGE", 0)
    there = load_rows(spec, PreferencePair, tmp_path)
    assert (list(there.train), list(there.held_out)) == (here.train, here.held_out)
    assert there.report.as_dict() == here.report.as_dict()


def test_who_asks_for_the_same_rows_finds_them_and_another_makes_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LARGE", 0)
    folders = tmp_path / "rows"
    spec = mixture(tmp_path)
    load_rows(spec, Conversation, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(reading, "_to_disk", lambda *_: pytest.fail("read again"))
        first = load_rows(spec, Conversation, tmp_path)
        other_mixture = mixture(tmp_path, held_out=0.5, max_rows=50)
        assert load_rows(other_mixture, Conversation, tmp_path).key != first.key
    assert len(list(folders.iterdir())) == 1
    load_rows(spec, Conversation, tmp_path, control_tokens=["<s>"])
    load_rows(mixture(tmp_path, seed=1), Conversation, tmp_path)
    load_rows(mixture(tmp_path, screening={"duplicates": "keep"}), Conversation, tmp_path)
    written(tmp_path / "a.jsonl", 151, "a")
    assert load_rows(spec, Conversation, tmp_path).report.rows_in == 198
    assert len(list(folders.iterdir())) == 5


def test_what_a_failed_reader_left_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGE", 0)
    path = Path(written(tmp_path / "a.jsonl", 100))
    good = path.read_text(encoding="utf-8")
    path.write_text(good + "\nbroken", encoding="utf-8")
    spec = BIND.validate_python({"sources": {"a": {"path": str(path), "format": "alpaca"}}})
    for _ in range(2):
        with pytest.raises(DataError, match=r"a.jsonl:101: not valid JSON"):
            load_rows(spec, Conversation, tmp_path)
    path.write_text(good, encoding="utf-8")
    assert len(load_rows(spec, Conversation, tmp_path).train) == 100


def test_decomposed_korean_equals_its_composed_twin(tmp_path: Path) -> None:
    """As macOS writes it, names of fields included, and as escapes: all read as one text."""
    rows = [
        {"prompt": "대한민국의 수도는?", "reference": {"답": ["서울", 1]}},
        {"prompt": "둘째", "reference": "네"},
    ]
    files = {}
    for form in ("NFC", "NFD"):
        path = files[form] = tmp_path / f"{form}.jsonl"
        first, second = (normalize(form, json.dumps(row, ensure_ascii=False)) for row in rows)
        path.write_text(f"{first}\n{json.dumps(json.loads(second))}", encoding="utf-8")
    assert files["NFC"].read_bytes() != files["NFD"].read_bytes()
    spec = {form: {"path": str(path), "format": "prompts"} for form, path in files.items()}
    apart = {
        form: load_rows(BIND.validate_python({"sources": {form: spec[form]}}), Prompt, tmp_path)
        for form in spec
    }
    assert apart["NFC"].train == apart["NFD"].train and apart["NFC"].train[0].reference == {"답": ["서울", 1]}
    assert [apart[form].report.sources[form].composed for form in spec] == [0, 2]
    assert "NFD: 2 rows brought to NFC" in apart["NFD"].report.lines()
    with pytest.raises(DataError, match="NFD.jsonl: none of its 2 rows can be used .* 2 × exact duplicate"):
        load_rows(BIND.validate_python({"sources": spec}), Prompt, tmp_path)


def digest_of_rows(path: str, outputs: str) -> tuple[str | None, str]:
    """What a process of a training stage has in its hands."""
    reading.LARGE = 0
    source = {"path": path, "format": "alpaca", "weight": 2}
    rows = load_rows(
        BIND.validate_python({"sources": {"a": source}, "held_out": 0.1}), Conversation, Path(outputs)
    )
    return rows.key, hashlib.sha256(repr([*rows.train, *rows.held_out]).encode()).hexdigest()


def test_processes_that_start_together_have_the_same_rows(tmp_path: Path) -> None:
    """One of them reads, the other waits for it; nobody starts from what is half written."""
    path = written(tmp_path / "a.jsonl", 20_000)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        both = [pool.submit(digest_of_rows, path, str(tmp_path / "outputs")) for _ in range(2)]
        found = {future.result() for future in both}
    assert len(found) == 1 and len(list((tmp_path / "outputs" / "rows").iterdir())) == 1
