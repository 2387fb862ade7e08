"""load_rows: from a DataSpec to rows, with every drop accounted for."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from align.data.records import Conversation, Message, PreferencePair
from align.data.source import load_rows
from align.data.spec import DataSpec

BIND = TypeAdapter(DataSpec)


def jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def instructions(path: Path, count: int, name: str = "q") -> str:
    return jsonl(
        path, [{"instruction": f"{name}{number}", "output": f"a{number}"} for number in range(count)]
    )


def asked(rows: list[Conversation]) -> list[str]:
    return [row.messages[0].content for row in rows]


def one(path: str, **fields: Any) -> DataSpec:
    return BIND.validate_python({"sources": {"x": {"path": path, "format": "alpaca", **fields}}})


def is_short(row: Conversation, limit: int) -> bool:
    """A user's filter."""
    return len(row.messages[0].content) <= limit


def shouted(row: Conversation) -> Conversation:
    """A user's map."""
    return Conversation(tuple(Message(turn.role, turn.content.upper()) for turn in row.messages))


def question_and_answer(row: dict[str, str], separator: str = "|") -> Conversation:
    """A user's format."""
    question, answer = row["text"].split(separator)
    return Conversation((Message("user", question), Message("assistant", answer)))


def test_rows_arrive_in_order_with_the_digest_of_their_file(tmp_path: Path) -> None:
    path = instructions(tmp_path / "a.jsonl", 3)
    rows = load_rows(one(path), Conversation, tmp_path)
    assert asked(rows.train) == ["q0", "q1", "q2"] and rows.held_out == []
    assert rows.report.as_dict() == {
        "rows_in": 3,
        "kept": 3,
        "dropped": {},
        "sources": {
            "x": {
                "origin": path,
                "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
                "revision": None,
                "card": None,
                "card_check": "no card",
                "card_problems": [],
                "read": 3,
                "rows_in": 3,
                "composed": 0,
                "kept": 3,
                "dropped": {},
                "findings": [],
                "train": 3,
                "held_out": 0,
            }
        },
    }


def test_every_drop_is_counted_with_its_first_place(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        [
            {"instruction": "q0", "output": "a"},
            {"instruction": "q1", "output": " "},
            {"instruction": "q0", "output": "a"},
            {"instruction": "q2"},
            {"instruction": "q3", "output": ""},
            {"instruction": "a <s> b", "output": "a"},
            {"instruction": "too long", "output": "a"},
        ],
    )
    spec = BIND.validate_python(
        {
            "sources": {
                "x": {
                    "path": path,
                    "format": "alpaca",
                    "bad_rows": "drop",
                    "filter": {"_target_": f"{__name__}.is_short", "limit": 7},
                }
            },
            "screening": {"control_tokens": "drop"},
        }
    )
    rows = load_rows(spec, Conversation, tmp_path, control_tokens=["<s>"])
    account = rows.report.sources["x"]
    assert asked(rows.train) == ["q0"]
    assert (account.rows_in, account.kept) == (7, 1)
    assert account.dropped == {
        "output is blank": 2,
        "no field 'output'": 1,
        "exact duplicate": 1,
        "control token <s>": 1,
        "filtered out": 1,
    }
    blank = next(finding for finding in account.findings if finding.reason == "output is blank")
    assert blank.places == [f"{path}:2", f"{path}:5"]
    assert account.rows_in == account.kept + sum(account.dropped.values())
    assert rows.report.lines()[1:] == [
        "x: 7 rows in, 1 kept, 1 to train on, 0 held out",
        f"x: 2 dropped: output is blank, at {path}:2, 5",
        f"x: 1 dropped: exact duplicate, at {path}:3",
        f"x: 1 dropped: no field 'output', at {path}:4",
        f"x: 1 dropped: control token <s>, at {path}:6",
        f"x: 1 dropped: filtered out, at {path}:7",
    ]


def test_a_users_format_map_and_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("row\nq0/a0\nq1/a1\n", encoding="utf-8")
    spec = one(
        str(path),
        format={"_target_": f"{__name__}.question_and_answer", "separator": "/"},
        columns={"text": "row"},
        map={"_target_": f"{__name__}.shouted"},
    )
    assert load_rows(spec, Conversation, tmp_path).train[1] == Conversation(
        (Message("user", "Q1"), Message("assistant", "A1"))
    )


def test_duplicates_are_those_over_all_sources(tmp_path: Path) -> None:
    first, second = instructions(tmp_path / "a.jsonl", 3), instructions(tmp_path / "b.jsonl", 5)
    spec = BIND.validate_python(
        {"sources": {"b": {"path": second, "format": "alpaca"}, "a": {"path": first, "format": "alpaca"}}}
    )
    rows = load_rows(spec, Conversation, tmp_path)
    assert asked(rows.train) == ["q0", "q1", "q2", "q3", "q4"]
    assert rows.report.sources["b"].dropped == {"exact duplicate": 3}
    assert (rows.report.rows_in, rows.report.kept, dict(rows.report.dropped)) == (
        8,
        5,
        {"exact duplicate": 3},
    )


def test_max_rows_of_a_source_reads_no_further(tmp_path: Path) -> None:
    path = Path(instructions(tmp_path / "a.jsonl", 3))
    path.write_text(path.read_text(encoding="utf-8") + "broken", encoding="utf-8")
    rows = load_rows(one(str(path), max_rows=2), Conversation, tmp_path)
    assert asked(rows.train) == ["q0", "q1"] and rows.report.rows_in == 2


def test_max_rows_of_a_mixture_is_a_sample_of_all_sources(tmp_path: Path) -> None:
    sources = {
        name: {"path": instructions(tmp_path / f"{name}.jsonl", size, name), "format": "alpaca"}
        for name, size in (("a", 60), ("b", 40))
    }
    spec = BIND.validate_python({"sources": sources, "max_rows": 10, "held_out": 0.2})
    rows = load_rows(spec, Conversation, tmp_path)
    both = asked(rows.train) + asked(rows.held_out)
    assert len(both) == len(set(both)) == 10
    assert Counter(name[0] for name in both) == {"a": 6, "b": 4}
    assert rows.report.dropped == {"beyond max_rows": 90} and rows.report.kept == 10


def test_weights_repeat_training_rows_and_no_held_out_ones(tmp_path: Path) -> None:
    sources = {
        name: {
            "path": instructions(tmp_path / f"{name}.jsonl", size, name),
            "format": "alpaca",
            "weight": weight,
        }
        for name, size, weight in (("a", 100, 1), ("b", 20, 1))
    }
    rows = load_rows(BIND.validate_python({"sources": sources, "held_out": 0.25}), Conversation, tmp_path)
    times = Counter(asked(rows.train))
    assert {times[name] for name in times if name.startswith("a")} == {1}
    assert {times[name] for name in times if name.startswith("b")} == {5}  # 100 rows in proportion, out of 20
    assert set(Counter(asked(rows.held_out)).values()) == {1}
    assert len(times) + len(rows.held_out) == 120
    accounts = rows.report.sources
    assert accounts["b"].train == 5 * (20 - accounts["b"].held_out) and accounts["b"].kept == 20


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    sizes=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    weights=st.none() | st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)),
    held_out=st.sampled_from([0.0, 0.3, 1]),
    max_rows=st.none() | st.integers(4, 30),
)
def test_any_mixture_is_disjoint_bounded_and_repeatable(
    tmp_path: Path,
    sizes: tuple[int, int],
    weights: tuple[float, float] | None,
    held_out: float,
    max_rows: int | None,
) -> None:
    sources = {
        name: {
            "path": instructions(tmp_path / f"{name}{size}.jsonl", size, name),
            "format": "alpaca",
            "weight": weight,
        }
        for name, size, weight in zip("ab", sizes, weights or (None, None), strict=True)
    }
    spec = BIND.validate_python({"sources": sources, "held_out": held_out, "max_rows": max_rows})
    rows = load_rows(spec, Conversation, tmp_path)
    train, aside = Counter(asked(rows.train)), Counter(asked(rows.held_out))
    assert train and not train.keys() & aside.keys()
    assert not aside or set(aside.values()) == {1}
    for name, size in zip("ab", sizes, strict=True):
        times = [train[f"{name}{number}"] for number in range(size) if f"{name}{number}" in train]
        account = rows.report.sources[name]
        assert account.rows_in == size == account.kept + sum(account.dropped.values())
        assert len(times) + account.held_out == account.kept
        assert max(times, default=0) - min(times, default=0) <= 1
        assert weights or max(times, default=0) <= 1
    if max_rows is not None:
        assert len(rows.train) + len(rows.held_out) <= max_rows + 1  # repeats are rounded source by source
    again = load_rows(spec, Conversation, tmp_path)
    assert (again.train, again.held_out) == (rows.train, rows.held_out)


def test_reward_and_dpo_see_the_same_split_whatever_their_max_rows(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        [{"prompt": f"q{number}", "chosen": "a", "rejected": "b"} for number in range(300)],
    )
    base = {"sources": {"x": {"path": path, "format": "pairs"}}, "held_out": 0.1, "seed": 3}
    reward = load_rows(BIND.validate_python(base), PreferencePair, tmp_path)
    dpo = load_rows(BIND.validate_python({**base, "max_rows": 150}), PreferencePair, tmp_path)
    assert set(dpo.train) <= set(reward.train) and set(dpo.held_out) <= set(reward.held_out)
