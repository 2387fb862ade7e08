"""Votes of people: read from both kinds of file, averaged over people and over both orders."""

import json

import pytest

from align.data.records import Message, Prompt
from align.judges.ballots import Ballots, item_of
from align.judges.source import Comparison

PAIR = Comparison(Prompt((Message("user", "q"),)), "one", "two")


def votes(path, *rows):
    if path.suffix == ".csv":
        path.write_text("item,annotator,verdict\n" + "".join(f"{','.join(row)}\n" for row in rows))
    else:
        names = ("item", "annotator", "verdict")
        path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    return Ballots(str(path))


@pytest.mark.parametrize("name", ["votes.csv", "votes.jsonl"])
def test_votes_in_both_orders_are_averaged(tmp_path, name):
    shown, turned = item_of(PAIR), item_of(PAIR.swapped())
    judge = votes(
        tmp_path / name,
        (shown, "ann", "first"), (shown, "bo", "tie"), (shown, "cy", "second"), (shown, "cy", "first"),
        (turned, "dee", "first"), (turned, "eve", ""),
    )  # fmt: skip
    ours, theirs, nobody = judge.compare([PAIR, PAIR.swapped(), Comparison(PAIR.prompt, "x", "y")])
    assert ours.value == pytest.approx((1 + 0.5 + 1 + 0) / 4), "cy changed their mind, dee preferred `two`"
    assert theirs.value == pytest.approx(1 - ours.value)
    assert ours.shown_first == theirs.shown_first == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert (nobody.value, nobody.missing) == (None, "absent")


def test_bad_votes_are_told_with_their_place(tmp_path):
    with pytest.raises(ValueError, match=r"votes.jsonl:2: verdict 'left' is none of first, tie, second"):
        votes(tmp_path / "votes.jsonl", ("i", "ann", "first"), ("i", "bo", "left"))
    with pytest.raises(ValueError, match=r"votes.csv:2: a vote has item, annotator, verdict"):
        votes(tmp_path / "votes.csv", ("", "ann", "first"))
    (tmp_path / "other.csv").write_text("item,annotator,choice\ni,ann,first\n")
    with pytest.raises(ValueError, match=r"other.csv:1: no column verdict; a vote has item, annotator"):
        Ballots(str(tmp_path / "other.csv"))
    (tmp_path / "torn.jsonl").write_text('{"item"')
    with pytest.raises(ValueError, match=r"torn.jsonl:1: no JSON"):
        Ballots(str(tmp_path / "torn.jsonl"))
    with pytest.raises(ValueError, match="cannot read .*absent"):
        Ballots(str(tmp_path / "absent.csv"))
    assert votes(tmp_path / "none.csv").problems() == ["the file holds no votes yet"]


def test_a_line_separator_in_an_answer_costs_no_vote(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text(f"item,first,annotator,verdict\n{item_of(PAIR)},one\u2028more,ann,first\n", "utf-8")
    (verdict,) = Ballots(str(path)).compare([PAIR])
    assert verdict.value == 1.0


@pytest.mark.parametrize("line", ["[1, 2]", '"first"', "1"])
def test_what_is_no_vote_at_all_is_told(tmp_path, line):
    (tmp_path / "votes.jsonl").write_text(f"{line}\n")
    with pytest.raises(ValueError, match=r"votes.jsonl:1: a vote has item, annotator, verdict"):
        Ballots(str(tmp_path / "votes.jsonl"))
