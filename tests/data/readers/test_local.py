"""Local files of every kind -> raw rows with their places."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align.data.errors import DataError
from align.data.readers.local import files_of, local_rows

ROWS = [{"text": 'one, "two"'}, {"text": "셋\u2028네"}, {"text": "tab\there"}]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def as_csv(rows: list[dict[str, str]], delimiter: str, folder: Path) -> str:
    path = folder / "written"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["text"], delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path.read_text(encoding="utf-8")


LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    "name, content",
    [
        ("a.jsonl", LINES),
        ("a.jsonl", f"{LINES}\n"),
        ("a.jsonl", f"\ufeff{LINES}\n\n"),
        ("a.json", LINES),
        ("a.json", LINES.replace("\n", "\r\n")),
        ("a.json", json.dumps(ROWS)),
        ("a.jsonl", json.dumps(ROWS, ensure_ascii=False, indent=2)),
        ("a.JSON", f"\ufeff \n{json.dumps(ROWS)}\n "),
    ],
)
def test_json_by_content_whatever_the_suffix(tmp_path: Path, name: str, content: str, zipped: bool) -> None:
    raw = gzip.compress(content.encode()) if zipped else content.encode()
    path = write(tmp_path / (f"{name}.gz" if zipped else name), raw)
    assert [row for _, row in local_rows(path)] == ROWS


def test_gzip_is_known_by_content(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", gzip.compress(LINES.encode()))
    assert [row for _, row in local_rows(path)] == ROWS


def test_one_object_over_many_lines_is_one_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", "\n" + json.dumps({"turns": [1, 2]}, indent=2))
    assert list(local_rows(path)) == [("2", {"turns": [1, 2]})]


def test_places_in_json(tmp_path: Path) -> None:
    lines = write(tmp_path / "lines.jsonl", '{"a": 1}\n\n{"a": 2}\n')
    array = write(tmp_path / "array.json", '[\n {"a": 1}, {"a": 2},\n\n {"a":\n 3}]')
    assert [place for place, _ in local_rows(lines)] == ["1", "3"]
    assert [place for place, _ in local_rows(array)] == ["2 (row 1)", "2 (row 2)", "4 (row 3)"]


VALUES = st.none() | st.text(max_size=4) | st.lists(st.text(max_size=4), max_size=2)


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=4))
def test_json_lines_and_arrays_agree(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("json")
    lines = write(folder / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    array = write(folder / "b.json", json.dumps(rows, indent=1))
    assert [row for _, row in local_rows(lines)] == [row for _, row in local_rows(array)] == rows


@pytest.mark.parametrize("name, delimiter", [("a.csv", ","), ("a.tsv", "\t")])
def test_quoted_tables(tmp_path: Path, name: str, delimiter: str) -> None:
    path = write(tmp_path / name, as_csv(ROWS, delimiter, tmp_path).replace("\n", "\r\n"))
    assert [row for _, row in local_rows(path, quoting="minimal")] == ROWS


def test_tsv_keeps_quotation_marks_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", '\ufefftext\tlabel\n"open\t1\nclosed"\t2\n')
    assert list(local_rows(path)) == [
        ("2", {"text": '"open', "label": "1"}),
        ("3", {"text": 'closed"', "label": "2"}),
    ]


def test_csv_rows_over_many_lines_start_where_they_start(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'q,a\n"one\ntwo",x\nthree,y\n')
    assert list(local_rows(path)) == [("2", {"q": "one\ntwo", "a": "x"}), ("4", {"q": "three", "a": "y"})]


def test_fields_longer_than_the_csv_default(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"q\n{'x' * 200_000}\n")
    assert [len(row["q"]) for _, row in local_rows(path)] == [200_000]


def test_plain_text_units(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "\ufeffone\ntwo\r\n\n \nthree\n")
    assert list(local_rows(path)) == [
        (str(number), {"text": line}) for number, line in enumerate(["one", "two", "", " ", "three"], start=1)
    ]
    assert list(local_rows(path, text_unit="paragraph")) == [
        ("1", {"text": "one\ntwo"}),
        ("5", {"text": "three"}),
    ]
    assert list(local_rows(path, text_unit="document")) == [("1", {"text": "one\ntwo\n\n \nthree"})]


def test_parquet_in_more_than_one_batch(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [{"q": str(number), "turns": [{"role": "user"}]} for number in range(2500)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    read = list(local_rows(path))
    assert [row for _, row in read] == rows
    assert (read[0][0], read[-1][0]) == ("row 1", "row 2500")


def test_other_encodings(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "안녕\n세계\n".encode("cp949"))
    assert [row["text"] for _, row in local_rows(path, encoding="cp949")] == ["안녕", "세계"]


@pytest.mark.parametrize(
    "name, content, place, message",
    [
        ("a.jsonl", '{"a": 1}\n{"a": 2,\n{"a": 3}\n', ":2: ", "not valid JSON at column 9"),
        ("a.jsonl", '{"a": 1\n{"a": 2}\n', ":1: ", "not valid JSON"),
        ("a.jsonl", '{"a": 1}\n[2]\n', ":2: ", "a row is list, expected an object"),
        ("a.json", '["a"]', ":1: ", "a row is str, expected an object"),
        ("a.json", '"a"', ":1: ", "a row is str, expected an object"),
        ("a.json", '[{"a": 1},\n{"a": 2', ":2: ", "not valid JSON"),
        ("a.json", '[\n{"a": 1}\n', ":2: ", "the array goes on without"),
        ("a.json", "[", ":1: ", "not valid JSON"),
        ("a.json", '[{"a": 1}]\n[{"a": 2}]', ":1: ", "something follows the end of the array"),
        (
            "a.jsonl",
            b'{"a": 1}\n{"a": "caf\xe9"}\n',
            ":2: ",
            "byte 0xe9 at column 11 is not utf-8; set `encoding`",
        ),
        ("a.txt", b"caf\xe9", ":1: ", "byte 0xe9 at column 4 is not utf-8"),
        ("a.csv", 'q,a\n1,2\n3,"4\n5,6\n', ":3: ", "quoting: none"),
        ("a.csv", "q,a\n1,2\n3\n", ":3: ", "1 fields where the header has 2"),
        ("a.csv", "q,q\n1,2\n", ":1: ", "the header names q twice"),
        ("a.jsonl.gz", "{}", ": ", "named .gz but not gzip"),
        ("a.jsonl.gz", gzip.compress(LINES.encode(), mtime=0)[:-9], ": ", "the gzip stream is damaged"),
        ("a.parquet", "PAR0", ": ", "not a parquet file"),
        ("a.xlsx", "", ": ", "unknown kind of file; expected one of .jsonl"),
    ],
)
def test_files_that_cannot_be_read(
    tmp_path: Path, name: str, content: str | bytes, place: str, message: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(DataError) as caught:
        list(local_rows(path))
    assert str(caught.value).startswith(f"{path}{place}")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt", "a.parquet"])
def test_missing_files_and_folders(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"no such file; check the path, or set ALIGN_DATA"):
        list(local_rows(tmp_path / name))
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="is a folder; name one file"):
        list(local_rows(tmp_path / name))


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
def test_empty_files_hold_no_rows(tmp_path: Path, name: str) -> None:
    assert list(local_rows(write(tmp_path / name, ""))) == []


def test_json_lines_are_read_as_they_are_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"a": 1}\nbroken\n')
    assert next(local_rows(path)) == ("1", {"a": 1})


def test_tables_with_a_delimiter_and_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes('욕|1\r\n"안녕|0\r\n'.encode())
    rows = [row for _, row in local_rows(path, delimiter="|", header=["text", "label"])]
    assert rows == [{"text": "욕", "label": "1"}, {"text": '"안녕', "label": "0"}]
    path.write_text("a|b|1\n", encoding="utf-8")
    with pytest.raises(DataError, match="a.txt:1: 3 fields where the header has 2"):
        list(local_rows(path, delimiter="|", header=["text", "label"]))


def test_a_file_is_read_as_what_it_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("안녕\n", encoding="utf-8")
    assert [row for _, row in local_rows(path, read_as="txt")] == [{"text": "안녕"}]


def test_a_folder_is_its_files_in_order(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", ".hidden"):
        (tmp_path / name).write_text("{}\n", encoding="utf-8")
    assert [file.name for file in files_of(tmp_path)] == ["a.jsonl", "b.jsonl"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is an empty folder"):
        list(files_of(tmp_path / "empty"))
