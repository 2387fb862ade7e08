"""Near duplicates, evaluation prompts and quotas, by the policies of `screening:`, through the reader."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.errors import DataError
from align.data.mixture import within_share
from align.data.records import Conversation, PreferencePair
from align.data.source import load_rows
from align.data.spec import DataSpec, OverlapSpec, ScreeningSpec, SourceSpec

LONG = "the old clock in the town hall strikes nine when the first boat leaves the harbour every day"


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def instructions(folder: Path, *pairs: tuple[str, str]) -> SourceSpec:
    rows = [{"instruction": asked, "output": answer} for asked, answer in pairs]
    return SourceSpec(path=written(folder / f"{len(rows)}.jsonl", rows), format="alpaca")


def test_near_duplicates_follow_their_policy(tmp_path: Path) -> None:
    source = instructions(tmp_path, ("Tell me", LONG), ("Sing", "la"), ("Tell me", f"{LONG} again"))
    kept = load_rows(DataSpec(sources={"x": source}), Conversation, tmp_path)
    assert len(kept.train) == 3
    spec = DataSpec(sources={"x": source}, screening=ScreeningSpec(near_duplicates="drop"))
    dropped = load_rows(spec, Conversation, tmp_path)
    assert len(dropped.train) == 2 and dropped.report.dropped == {"near duplicate": 1}
    spec = DataSpec(sources={"x": source}, screening=ScreeningSpec(near_duplicates="error"))
    with pytest.raises(
        DataError, match=r"3\.jsonl:3: near duplicate \(95%\) of .*3\.jsonl:1.*screening.near"
    ):
        load_rows(spec, Conversation, tmp_path)


def test_a_contradiction_is_no_near_duplicate(tmp_path: Path) -> None:
    rows = [
        {"prompt": "q", "chosen": LONG, "rejected": "no"},
        {"prompt": "q", "chosen": "no", "rejected": LONG},
    ]
    source = SourceSpec(path=written(tmp_path / "x.jsonl", rows), format="pairs")
    spec = DataSpec(sources={"x": source}, screening=ScreeningSpec(near_duplicates="drop"))
    rows_kept = load_rows(spec, PreferencePair, tmp_path)
    assert len(rows_kept.train) == 2
    assert [finding.reason for finding in rows_kept.report.findings] == [
        "preferred the other way round elsewhere"
    ]


def test_what_an_evaluation_asks_is_not_trained_on(tmp_path: Path) -> None:
    source = instructions(
        tmp_path, ("Why is the sky blue?", "Light."), ("Who are you?", "Me."), ("Sing", LONG)
    )
    asked = written(tmp_path / "e.jsonl", [{"prompt": "why is the sky BLUE"}, {"prompt": f"Explain: {LONG}"}])
    exam = SourceSpec(path=asked, format="prompts")
    screening = ScreeningSpec(overlap=OverlapSpec(suites={"exam": exam}))
    loaded = load_rows(DataSpec(sources={"x": source}, screening=screening), Conversation, tmp_path)
    assert [row.messages[0].content for row in loaded.train] == ["Who are you?"]
    assert loaded.report.dropped == {"shares words with an evaluation prompt": 2}
    screening = ScreeningSpec(overlap=OverlapSpec(suites={"exam": exam}, policy="error"))
    with pytest.raises(DataError, match=r"3\.jsonl:1: shares words .* of exam: 'why is the sky BLUE'"):
        load_rows(DataSpec(sources={"x": source}, screening=screening), Conversation, tmp_path)


def test_an_evaluation_set_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    screening = ScreeningSpec(
        overlap=OverlapSpec(suites={"exam": SourceSpec(path="no.jsonl", format="prompts")})
    )
    spec = DataSpec(sources={"x": instructions(tmp_path, ("a", "b"))}, screening=screening)
    with pytest.raises(DataError, match=r"screening.overlap.suites.exam: no.jsonl: no such file"):
        load_rows(spec, Conversation, tmp_path)
    with pytest.raises(ValueError, match="name at least one evaluation set"):
        OverlapSpec(suites={})


def test_a_source_contributes_no_more_than_its_quota(tmp_path: Path) -> None:
    large = instructions(tmp_path, *((f"ask {n}", f"say {n}") for n in range(90)))
    small = instructions(tmp_path, *((f"why {n}", f"so {n}") for n in range(30)))
    screening = ScreeningSpec(max_source_share=0.5)
    loaded = load_rows(
        DataSpec(sources={"a": large, "b": small}, screening=screening), Conversation, tmp_path
    )
    assert {name: len(span) for name, span in loaded.train_spans().items()} == {"a": 30, "b": 30}
    assert loaded.report.dropped == {"beyond max_source_share": 60}
    with pytest.raises(ValueError, match=r"max_source_share 0.4 times 2 sources is less than the whole"):
        DataSpec(sources={"a": large, "b": small}, screening=ScreeningSpec(max_source_share=0.4))


@given(st.lists(st.integers(1, 200), min_size=1, max_size=6), st.floats(0.05, 1.0))
def test_quotas_hold_and_waste_nothing(counts: list[int], share: float) -> None:
    if share * len(counts) < 1:
        share = 1 / len(counts)
    sizes = {str(number): count for number, count in enumerate(counts)}
    capped = within_share(sizes, share)
    total = sum(capped.values())
    bound = max(capped.values())
    slack = 1 + len(counts)  # whole rows cannot always meet a share
    assert all(count <= share * total + slack for count in capped.values())
    assert all(capped[name] == min(sizes[name], bound) for name in sizes)
    if bound < max(counts):
        more = [min(count, bound + slack) for count in counts]
        assert max(more) > share * sum(more)
