"""Parts of one dataset: disjoint, stable, of the size asked for, and the same for rows of any shape."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from align.data.parts import part_problems
from align.data.records import Conversation, Message, PreferencePair, Prompt, Row
from align.data.source import load_rows
from align.data.spec import DataSpec, PartSpec, SourceSpec
from align.data.split import is_in_part, opening, rank

BIND = TypeAdapter(DataSpec)
SHARES = {"sft": 0.4, "reward": 0.3, "ppo": 0.3}
CUTS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.integers(1, 9), min_size=1).map(
    lambda weights: {name: weight / sum(weights.values()) for name, weight in weights.items()}
)


def asked(text: str) -> Prompt:
    return Prompt((Message("system", "be kind"), Message("user", text)))


def parts_of(row: Row, shares: dict[str, float], seed: int) -> list[str]:
    return [name for name in shares if is_in_part(row, PartSpec(take=name, shares=shares, seed=seed))]


@given(CUTS, st.integers(0, 3), st.lists(st.text(max_size=4), unique=True), st.floats(0.1, 1))
def test_every_opening_is_in_one_part_at_most_and_where_shares_are_whole_in_one(
    shares: dict[str, float], seed: int, texts: list[str], kept: float
) -> None:
    some = {name: share * kept for name, share in shares.items()}
    for text in texts:
        assert len(parts_of(asked(text), shares, seed)) == 1
        assert len(parts_of(asked(text), some, seed)) <= 1


@given(st.text(max_size=6), st.text(max_size=3), st.text(max_size=3), st.integers(0, 3))
def test_rows_that_open_alike_are_in_the_same_part_whatever_shape_they_have(
    text: str, one: str, other: str, seed: int
) -> None:
    question = asked(text)
    answers = [(Message("assistant", said),) for said in (one, other)]
    rows: list[Row] = [
        question,
        Conversation((*question.messages[1:], *answers[0])),
        PreferencePair(question.messages, answers[0], answers[1]),
    ]
    assert len({tuple(parts_of(row, SHARES, seed)) for row in rows}) == 1


def test_shares_are_met_and_do_not_decide_what_is_held_out() -> None:
    rows = [asked(str(number)) for number in range(20_000)]
    for name, share in SHARES.items():
        mine = [row for row in rows if is_in_part(row, PartSpec(take=name, shares=SHARES))]
        for of, expected, count in ((20_000, share, len(mine)), (len(mine), 0.2, held_out(mine))):
            assert abs(count - of * expected) < 5 * (of * expected * (1 - expected)) ** 0.5


def held_out(rows: list[Prompt]) -> int:
    return sum(rank(row, 0) < 0.2 for row in rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(size=st.integers(30, 60), extra=st.integers(0, 40), seed=st.integers(0, 5))
def test_stages_that_share_a_file_never_share_a_row(tmp_path: Path, size: int, extra: int, seed: int) -> None:
    """As three stages read it, before and after rows came; weights and held-out rows included."""

    def loaded(count: int) -> dict[str, set[str]]:
        path = tmp_path / "a.jsonl"
        rows = [
            {"prompt": f"q{number % (count - 5)}", "chosen": f"a{number}", "rejected": "b"}
            for number in range(count)
        ]
        path.write_text("\n".join(map(json.dumps, rows)))
        found = {}
        for name in SHARES:
            part = {"take": name, "shares": SHARES, "seed": seed}
            source: dict[str, Any] = {"path": str(path), "format": "pairs", "part": part}
            rows_of = load_rows(
                BIND.validate_python({"sources": {"x": source}, "held_out": 2}), PreferencePair, tmp_path
            )
            account = rows_of.report.sources["x"]
            assert account.rows_in == count == account.kept + sum(account.dropped.values())
            found[name] = {opening(row) for row in (*rows_of.train, *rows_of.held_out)}
        return found

    few, many = loaded(size), loaded(size + extra)
    names = [*SHARES]
    for found, count in ((few, size), (many, size + extra)):
        assert sum(map(len, found.values())) == len(set().union(*found.values())) == count - 5
    assert all(few[name] & set().union(*many.values()) <= many[name] for name in names)


@pytest.mark.parametrize(
    "part, message",
    [
        ({"take": "stf", "shares": SHARES}, "take: no part 'stf' among `shares` .* did you mean sft?"),
        ({"take": "a", "shares": {"a": 0.7, "b": 0.4}}, "shares: they add up to 1.1, more than the whole"),
        ({"take": "a", "shares": {"a": 0.0}}, "greater than 0"),
    ],
)
def test_parts_that_make_no_sense(part: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(PartSpec).validate_python(part)


def test_one_dataset_is_cut_in_one_way() -> None:
    def source(path: str, **part: Any) -> SourceSpec:
        return SourceSpec(
            path=path, format="pairs", part=PartSpec(**{"take": "sft", "shares": SHARES, **part})
        )

    alike = {"corpus.a": source("x"), "corpus.b": source("x", take="ppo"), "corpus.c": source("y", seed=1)}
    assert part_problems(alike) == []
    other = {**alike, "corpus.d": source("x", seed=1), "corpus.e": source("x", shares={"sft": 0.4})}
    assert [line.partition(":")[0] for line in part_problems(other)] == ["corpus.d.part", "corpus.e.part"]
    assert "corpus.a.part cuts the same dataset" in part_problems(other)[0]
