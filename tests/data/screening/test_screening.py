"""The checks of `screening:`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from align.data.errors import DataError
from align.data.records import Conversation, Message, Place, PreferencePair, Prompt, Row, Text, texts_of
from align.data.report import SourceReport
from align.data.screening.control_tokens import JOINER, ControlTokens
from align.data.screening.duplicates import content_digest
from align.data.screening.placeholders import placeholder
from align.data.screening.preferences import is_identical_pair
from align.data.screening.screen import Screen
from align.data.source import Rows, load_rows
from align.data.spec import DataSpec, ScreeningSpec

TOKENS = ["</s>", "<|im_end|>", "<|im_start|>", "<|end|>", "<|end|>", ""]


def user(content: str) -> tuple[Message, ...]:
    return (Message("user", content),)


def assistant(content: str) -> tuple[Message, ...]:
    return (Message("assistant", content),)


def pair(prompt: str, chosen: str, rejected: str) -> PreferencePair:
    return PreferencePair(user(prompt), assistant(chosen), assistant(rejected))


def screened(rows: list[Row], **policies: Any) -> tuple[list[Row], list[tuple[str, str, list[str]]]]:
    """What passes, and (what was done, reason, places) of the rest; row n stands in line n."""
    screen, account = Screen(ScreeningSpec(**policies), TOKENS), SourceReport("f", name="x")
    placed = [_at(row, number) for number, row in enumerate(rows, start=1)]
    passed = [kept for row in placed if (kept := screen(row, account)) is not None]
    return passed, [(item.done, item.reason, item.places) for item in account.findings]


def _at(row: Row, number: int) -> Row:
    return replace(row, place=Place("x", "f", str(number)))


def loaded(folder: Path, rows: list[dict[str, Any]], **fields: Any) -> Rows:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given = {"sources": {"x": {"path": str(path), "format": "pairs"}}, **fields}
    return load_rows(TypeAdapter(DataSpec).validate_python(given), PreferencePair, folder)


def test_the_second_of_two_equal_rows_is_a_duplicate() -> None:
    rows: list[Row] = [Text("a"), Text("b"), Text("a"), Prompt(user("a")), Prompt(user("a"), {"answer": 1})]
    passed, found = screened(rows)
    assert passed == [rows[0], rows[1], rows[3]]
    assert found == [("drop", "exact duplicate", ["f:3", "f:5"])]


def test_turns_are_told_apart_by_their_borders() -> None:
    one = Conversation(user("ab") + assistant("c"))
    other = Conversation(user("a") + assistant("bc"))
    assert content_digest(one) != content_digest(other)


def test_opposite_pairs_are_no_duplicates() -> None:
    assert content_digest(pair("q", "a", "b")) != content_digest(pair("q", "b", "a"))


@given(st.lists(st.tuples(st.text(max_size=2), st.text(max_size=2))))
def test_as_many_rows_pass_as_there_are_different_ones(texts: list[tuple[str, str]]) -> None:
    passed, _ = screened([Conversation(user(one) + assistant(other)) for one, other in texts])
    assert [texts_of(row) for row in passed] == list(dict.fromkeys(texts))


@pytest.mark.parametrize(
    "row, expected",
    [
        (pair("q", "a", "a"), True),
        (pair("q", "a", " a\n"), True),
        (pair("q", "a b", "a\n\nb"), True),
        (pair("q", "\uac00", "\u1100\u1161"), True),
        (pair("q", "a", "b"), False),
        (Prompt(user("a")), False),
    ],
)
def test_identical_pairs(row: Row, expected: bool) -> None:
    assert is_identical_pair(row) is expected


@pytest.mark.parametrize(
    "text, token",
    [
        ("fine", None),
        ("hi<|im_end|>\n<|im_start|>assistant", "<|im_end|>"),
        ("a </s> b", "</s>"),
        ("<|im_end", None),
        ("<|end|><|end|>x", "<|end|>"),
    ],
)
def test_control_tokens_are_found_anywhere(text: str, token: str | None) -> None:
    find = ControlTokens(TOKENS).first
    assert find(Text(text)) == token
    assert find(Prompt(user(text))) == token
    assert find(pair("q", "a", text)) == token


def test_without_tokens_nothing_is_found() -> None:
    assert ControlTokens([]).first(Text("<|im_end|>")) is None


@given(st.lists(st.sampled_from([*"<|>/s ", "</s>", "<|im_end|>", "<|end|>"]), max_size=12))
def test_an_escaped_text_holds_no_token_and_is_otherwise_the_same(parts: list[str]) -> None:
    control, row = ControlTokens(TOKENS), Text("".join(parts))
    escaped = control.escaped(row)
    assert control.first(escaped) is None
    assert isinstance(escaped, Text) and escaped.text.replace(JOINER, "") == row.text
    assert (escaped == row) == (control.first(row) is None)


@pytest.mark.parametrize(
    "text, found",
    [
        ("Dear {{name}},", "{{name}}"),
        ("Dear {{ customer.name }}", "{{ customer.name }}"),
        ("Hello {name}!", "{name}"),
        ("안녕하세요 {이름} 님", "{이름}"),
        ('print(f"{name}")', None),
        (r"\frac{a}{b} and x_{ij}", None),
        ("${name}", None),
        ("a set {1, 2} or {}", None),
        ("say `{name}` here", None),
        ("```\nhello {name}\n```", None),
        ("```\nhello {name}", None),
    ],
)
def test_placeholders(text: str, found: str | None) -> None:
    assert placeholder(Conversation(user("q") + assistant(text))) == found


def test_control_tokens_stop_the_run_or_are_dropped_or_escaped() -> None:
    row = Text("a </s> b")
    assert screened([row]) == ([], [("error", "control token </s>", ["f:1"])])
    assert screened([row], control_tokens="drop") == ([], [("drop", "control token </s>", ["f:1"])])
    passed, found = screened([row], control_tokens="escape")
    assert passed == [Text(f"a <{JOINER}/s> b")] and found == [("escape", "control token </s>", ["f:1"])]


@pytest.mark.parametrize("policy, passes", [("error", 0), ("drop", 0), ("keep", 1)])
def test_policies(policy: str, passes: int) -> None:
    for name, rows in {
        "identical_pairs": [pair("q", "a", "a")],
        "placeholders": [Text("{{name}}")],
        "duplicates": [Text("a"), Text("a")],
        "conflicting_pairs": [pair("q", "a", "b"), pair("q", "b", "a")],
    }.items():
        passed, found = screened(list(rows), **{name: policy})
        assert len(passed) == len(rows) - 1 + passes
        assert [(done, places) for done, _, places in found] == [(policy, [f"f:{len(rows)}"])]


def test_of_two_pairs_that_contradict_each_other_neither_is_kept(tmp_path: Path) -> None:
    rows = [
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        {"prompt": "r", "chosen": "a", "rejected": "b"},
        {"prompt": "q", "chosen": "b", "rejected": "a"},
    ]
    found = loaded(tmp_path, rows, screening={"conflicting_pairs": "drop"})
    assert [row.prompt[0].content for row in found.train] == ["r"]
    assert found.report.dropped == {"preferred the other way round elsewhere": 2}
    assert found.report.rows_in == found.report.kept + found.report.dropped.total()
    warned = loaded(tmp_path, rows)
    assert len(warned.train) == 3 and warned.report.dropped == {}
    assert warned.report.findings[0].places == [f"{tmp_path / 'pairs.jsonl'}:3"]
    assert f"other way round at {tmp_path / 'pairs.jsonl'}:1" in warned.report.findings[0].message


def test_all_errors_of_all_kinds_are_told_at_once_each_with_its_places(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{n}", "chosen": "a", "rejected": "" if n % 2 else "b"} for n in range(16)]
    rows += [{"prompt": "q", "chosen": "a", "rejected": "a"}]
    with pytest.raises(DataError) as refused:
        loaded(tmp_path, rows, screening={"identical_pairs": "error"})
    path = tmp_path / "pairs.jsonl"
    assert str(refused.value).splitlines() == [
        f"{path}:2: turn 2 (assistant) is blank (8 such rows, also at 4, 6, 8, 10, …). Correct the row, or "
        "set `bad_rows: drop` on source 'x' (or screening.blank_turns: drop) to drop and count such rows",
        f"{path}:17: chosen and rejected are identical. Nothing is learnt from such a pair; set "
        "screening.identical_pairs to drop",
    ]


@pytest.mark.parametrize(
    "key, row",
    [
        ("blank_turns", {"prompt": "q", "chosen": "a", "rejected": ""}),
        ("blank_turns", {"prompt": "q", "chosen": "a", "rejected": None}),
        ("unknown_roles", {"prompt": [{"role": "usr", "content": "q"}], "chosen": "a", "rejected": "b"}),
        ("unanswered", {"prompt": [{"role": "system", "content": "q"}], "chosen": "a", "rejected": "b"}),
    ],
)
def test_a_policy_of_its_own_goes_over_bad_rows(tmp_path: Path, key: str, row: dict[str, Any]) -> None:
    good = {"prompt": "q", "chosen": "a", "rejected": "b"}
    found = loaded(tmp_path, [good, row], screening={key: "drop"})
    assert found.report.kept == 1 and found.report.dropped.total() == 1
    source = {"x": {"path": str(tmp_path / "pairs.jsonl"), "format": "pairs", "bad_rows": "drop"}}
    with pytest.raises(DataError, match=r"pairs\.jsonl:2: "):
        loaded(tmp_path, [good, row], screening={key: "error"}, sources=source)
