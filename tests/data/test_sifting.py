"""Rows that several processes prepare are those that one makes: the same rows, counts, places and errors."""

import gzip
import json
import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from align.data import opening, reading
from align.data.errors import DataError
from align.data.readers import json_rows
from align.data.records import Conversation, PreferencePair, Row
from align.data.sifting import can_be_sifted
from align.data.source import load_rows
from align.data.spec import DataSpec, SourceSpec
from align.workers.pool import Task

BIND = TypeAdapter(DataSpec)
TOKENS = ["<|im_end|>"]


def pickled(task: Task, blocks: Iterable[Any], _: int) -> Iterator[Any]:
    """What processes do, in this one."""
    work = pickle.loads(pickle.dumps(task)).begin()
    for block in blocks:
        yield pickle.loads(pickle.dumps(work(pickle.loads(pickle.dumps(block)))))


def both(
    spec: DataSpec,
    row_type: type[Row],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_order: Any = pickled,
) -> tuple[Any, Any]:
    """What is loaded, or said, by one process and by several."""
    found: list[Any] = []
    for large in (2**60, -1):
        with monkeypatch.context() as patch:
            patch.setattr(reading, "LARGE", large)
            patch.setattr(reading, "SHARED", 0)
            patch.setattr(reading, "cores", lambda: 2)
            patch.setattr(json_rows, "BLOCK_BYTES", 700)
            patch.setattr(opening, "BATCH", 7)
            if in_order is not None:
                patch.setattr(reading, "in_order", in_order)
            outputs = folder / f"outputs-{large}"
            try:
                rows = load_rows(spec, row_type, outputs, control_tokens=TOKENS)
            except DataError as problem:
                found.append(str(problem))
            else:
                found.append(([*rows.train], [*rows.held_out], rows.report.as_dict()))
    return found[0], found[1]


ASKED = "Who are you, and what is it that you want of all of us here today, stranger?"
WRONG: dict[int, dict[str, Any]] = {
    1: {"chosen": "  "},
    2: {"rejected": "no<|im_end|>"},
    3: {"prompt": "q", "chosen": "twice", "rejected": "no"},
    5: {"prompt": "\u1112\u1161\u11ab", "margin": 1},
    6: {"chosen": "no "},
    7: {"prompt": "Dear {{name}}, hello"},
    8: {"margin": "much"},
    9: {"prompt": ASKED},
}


def dirty(count: int) -> list[str]:
    """Lines of pairs with everything wrong that is told of rows, blank lines among them."""
    lines = []
    for number in range(count):
        row = {
            "prompt": f"q{number}",
            "chosen": f"yes {number}",
            "rejected": "no",
            **WRONG.get(number % 11, {}),
        }
        if number % 11 == 4:  # against the row four before
            row = {"prompt": f"q{number - 4}", "chosen": "no", "rejected": f"yes {number - 4}"}
        lines += [json.dumps(row, ensure_ascii=False), ""]
    return lines


POLICIES = {"control_tokens": "drop"}
CASES = {
    "as it is": {"screening": POLICIES},
    "errors": {"bad_rows": "error"},
    "escaped": {"screening": {"control_tokens": "escape", "identical_pairs": "keep", "placeholders": "drop"}},
    "contested pairs leave": {"screening": {**POLICIES, "conflicting_pairs": "drop"}, "held_out": 0.2},
    "the first of them": {"screening": POLICIES, "max": 20, "max_rows": 15, "seed": 3},
    "a part": {"screening": POLICIES, "part": {"shares": {"a": 0.5, "b": 0.5}, "take": "a"}},
    "near duplicates": {"screening": {**POLICIES, "near_duplicates": "drop"}},
}


@pytest.mark.parametrize("fields", CASES.values(), ids=CASES.keys())
def test_processes_make_the_same_rows(
    tmp_path: Path, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.jsonl").write_text("\ufeff" + "\n".join(dirty(60)), encoding="utf-8")
    given = dict(fields)
    source: dict[str, Any] = {"path": str(tmp_path / "x.jsonl"), "format": "pairs"}
    source |= {"bad_rows": given.pop("bad_rows", "drop"), "max_rows": given.pop("max", None)}
    source["part"] = given.pop("part", None)
    one, many = both(
        BIND.validate_python({"sources": {"x": source}, **given}), PreferencePair, tmp_path, monkeypatch
    )
    assert one == many and (isinstance(one, str) or one[0])


def test_evaluation_prompts_are_found_by_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.jsonl").write_text("\n".join(dirty(60)), encoding="utf-8")
    asked = "who are you and what is it that you want of all of us here today stranger"
    (tmp_path / "exam.jsonl").write_text(json.dumps({"prompt": asked}))
    spec = BIND.validate_python(
        {
            "sources": {"x": {"path": str(tmp_path / "x.jsonl"), "format": "pairs", "bad_rows": "drop"}},
            "screening": {
                "control_tokens": "drop",
                "overlap": {"suites": {"exam": {"path": str(tmp_path / "exam.jsonl"), "format": "prompts"}}},
            },
        }
    )
    one, many = both(spec, PreferencePair, tmp_path, monkeypatch)
    assert one == many
    assert one[2]["sources"]["x"]["dropped"]["shares words with an evaluation prompt"] == 5


def breaks(path: Path, how: str) -> Path:
    lines = "\n".join(dirty(40)).encode()
    if how == "not JSON":
        path.write_bytes(lines + b'\n{"prompt": ')
    elif how == "not UTF-8":
        path.write_bytes(lines + b'\n{"prompt": "\xff"}\n' + lines)
    elif how == "no object":
        path.write_bytes(lines + b"\n[1]\n" + lines)
    else:
        path = path.with_suffix(".jsonl.gz")
        path.write_bytes(gzip.compress(lines * 20, mtime=0)[:-100])
    return path


@pytest.mark.parametrize("how", ["not JSON", "not UTF-8", "no object", "damaged"])
def test_what_ends_the_reading_is_told_alike(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = breaks(tmp_path / "x.jsonl", how)
    spec = BIND.validate_python({"sources": {"x": {"path": str(path), "format": "pairs"}}})
    one, many = both(spec, PreferencePair, tmp_path, monkeypatch)
    assert one == many and isinstance(one, str) and len(one.splitlines()) > 1


@pytest.mark.parametrize("kind", ["json", "csv", "parquet"])
def test_rows_of_other_files_are_handed_over_parsed(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"instruction": f"q{number % 30}", "output": "a\u1100\u1161"} for number in range(40)]
    (tmp_path / "many").mkdir()
    for name in ("a", "b"):
        path = tmp_path / "many" / f"{name}.{kind}"
        if kind == "json":
            path.write_text(json.dumps(rows))
        elif kind == "csv":
            path.write_text("instruction,output\n" + "".join(f"{row['instruction']},b\n" for row in rows))
        else:
            parquet = pytest.importorskip("pyarrow.parquet")
            table = pytest.importorskip("pyarrow").Table.from_pylist(rows)
            parquet.write_table(table, path)
    spec = BIND.validate_python({"sources": {"x": {"path": str(tmp_path / "many"), "format": "alpaca"}}})
    one, many = both(spec, Conversation, tmp_path, monkeypatch)
    assert one == many and len(one[0]) == 30 and one[2]["sources"]["x"]["read"] == 80


def test_the_same_with_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.jsonl").write_text("\n".join(dirty(60)), encoding="utf-8")
    source = {"path": str(tmp_path / "x.jsonl"), "format": "pairs", "bad_rows": "drop"}
    spec = BIND.validate_python({"sources": {"x": source}, "screening": POLICIES})
    one, many = both(spec, PreferencePair, tmp_path, monkeypatch, in_order=None)
    assert one == many


def test_who_compares_rows_or_remembers_them_works_alone() -> None:
    plugin = {"_target_": "align.data.formats.pairs.pairs"}
    bind = TypeAdapter(SourceSpec).validate_python
    assert can_be_sifted(SourceSpec(path="x", format="pairs"))
    assert not any(
        can_be_sifted(SourceSpec(path="x", format=name))
        for name in ("scored", "labelled", "voted", "gsm8k_solutions")
    )
    assert not can_be_sifted(bind({"path": "x", "format": plugin}))
    assert not can_be_sifted(bind({"path": "x", "format": "pairs", "filter": plugin}))
