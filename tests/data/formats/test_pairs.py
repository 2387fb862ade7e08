"""Preference pairs: explicit prompts, whole dialogues, transcripts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.data.formats.pairs import pairs, sharegpt_pairs, split_at_difference
from align.data.formats.transcripts import hh, transcript
from align.data.records import Message, RowError, check_row

QUESTION = {"role": "user", "content": "Q"}
GOOD = {"role": "assistant", "content": "good"}
BAD = {"role": "assistant", "content": "bad"}

WORDS = st.text(alphabet="abc é가", min_size=1).filter(lambda text: text.strip() == text)


def dialogue(*contents: str) -> tuple[Message, ...]:
    return tuple(
        Message("assistant" if place % 2 else "user", content) for place, content in enumerate(contents)
    )


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Q", "chosen": "good", "rejected": "bad"},
        {"prompt": [QUESTION], "chosen": "good", "rejected": "bad"},
        {"prompt": [QUESTION], "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [QUESTION, GOOD], "rejected": [QUESTION, BAD]},
        {
            "prompt": "Q",
            "chosen": [QUESTION, GOOD],
            "rejected": [QUESTION, BAD],
            "messages": [],
            "score_chosen": 7.5,
        },
    ],
)
def test_every_published_shape_gives_the_same_pair(row: dict[str, Any]) -> None:
    pair = pairs(row)
    assert pair.prompt == (Message("user", "Q"),)
    assert pair.chosen == (Message("assistant", "good"),)
    assert pair.rejected == (Message("assistant", "bad"),)
    assert pair.margin is None


def test_margin_is_kept() -> None:
    assert pairs({"prompt": "Q", "chosen": "a", "rejected": "b", "margin": 2}).margin == 2.0


@pytest.mark.parametrize(
    "row, message",
    [
        ({"chosen": "a", "rejected": "b"}, "no field 'prompt'"),
        ({"prompt": "Q", "chosen": "a"}, "no field 'rejected'"),
        ({"prompt": "Q", "chosen": "a", "rejected": None}, "rejected is null"),
        ({"prompt": 3, "chosen": "a", "rejected": "b"}, "prompt is int, expected a list"),
        (
            {"prompt": "Q", "chosen": "a", "rejected": "b", "margin": "much"},
            "margin is str, expected a number",
        ),
        ({"prompt": "Q", "chosen": "a", "rejected": "b", "margin": True}, "margin is bool"),
        ({"chosen": [QUESTION, GOOD], "rejected": [GOOD]}, "no prompt in common"),
        ({"chosen": [QUESTION, GOOD], "rejected": []}, "no prompt in common"),
        ({"chosen": [{"role": "usr", "content": ""}], "rejected": []}, "unknown role 'usr'"),
    ],
)
def test_rows_that_do_not_fit(row: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message):
        pairs(row)


@given(
    st.lists(WORDS, min_size=1, max_size=5).filter(lambda turns: len(turns) % 2 == 1),
    WORDS,
    WORDS,
)
def test_splitting_two_dialogues_loses_and_moves_no_turn(shared: list[str], good: str, bad: str) -> None:
    chosen, rejected = dialogue(*shared, good), dialogue(*shared, bad)
    pair = split_at_difference(chosen, rejected)
    assert (pair.prompt + pair.chosen, pair.prompt + pair.rejected) == (chosen, rejected)
    assert pair.prompt == chosen[:-1]
    check_row(pair)


def test_dialogues_that_part_before_the_last_answer_are_refused() -> None:
    pair = split_at_difference(dialogue("Q", "one", "more?", "yes"), dialogue("Q", "two", "more?", "no"))
    assert pair.prompt == dialogue("Q")
    with pytest.raises(RowError, match="chosen goes on past the first answer") as caught:
        check_row(pair)
    assert caught.value.reason == "chosen and rejected differ before the last answer"


@given(st.lists(WORDS, min_size=2, max_size=6).filter(lambda turns: len(turns) % 2 == 0))
def test_a_transcript_is_read_back_turn_by_turn(contents: list[str]) -> None:
    turns = dialogue(*contents)
    names = {"user": "Human", "assistant": "Assistant"}
    written = "".join(f"\n\n{names[turn.role]}: {turn.content}" for turn in turns)
    assert transcript(written) == turns


def test_names_inside_a_turn_do_not_split_it() -> None:
    assert transcript("\n\nHuman: Is Human: a name?\nAssistant: or this?\n\nAssistant: no") == dialogue(
        "Is Human: a name?\nAssistant: or this?", "no"
    )


def test_hh_rows_share_their_prompt() -> None:
    shared = "\n\nHuman: Hi\n\nAssistant: Ho\n\nHuman: More?\n\nAssistant:"
    pair = hh({"chosen": f"{shared} yes", "rejected": f"{shared} no"})
    assert pair.prompt == dialogue("Hi", "Ho", "More?")
    assert (pair.chosen, pair.rejected) == ((Message("assistant", "yes"),), (Message("assistant", "no"),))


@pytest.mark.parametrize(
    "chosen, rejected, message",
    [
        ("\n\nHuman: Hi\n\nAssistant: ", "\n\nHuman: Hi\n\nAssistant: no", "turn 2 .assistant. is blank"),
        (
            "\n\nHuman: Hi\n\nHuman: you\n\nAssistant: a",
            "\n\nHuman: Hi\n\nHuman: you\n\nAssistant: b",
            "user follows user",
        ),
        (
            "\n\nHuman: Hi\n\nAssistant: a\n\nAssistant: b",
            "\n\nHuman: Hi\n\nAssistant: c",
            "assistant follows assistant",
        ),
        ("Once upon a time", "\n\nHuman: Hi\n\nAssistant: no", "a transcript must begin with"),
        ("\n\nAssistant: a", "\n\nAssistant: b", "no prompt in common"),
        ("", "", "a transcript must begin with"),
    ],
)
def test_odd_transcripts_are_refused(chosen: str, rejected: str, message: str) -> None:
    with pytest.raises(RowError, match=message):
        check_row(hh({"chosen": chosen, "rejected": rejected}))


@given(st.lists(WORDS, min_size=1, max_size=5).filter(lambda turns: len(turns) % 2 == 1), WORDS, WORDS)
def test_sharegpt_pairs_lose_and_move_no_turn(shared: list[str], good: str, bad: str) -> None:
    def turn(place: int, value: str) -> dict[str, str]:
        return {"from": "gpt" if place % 2 else "human", "value": value}

    row = {
        "conversations": [turn(place, value) for place, value in enumerate(shared)],
        "chosen": turn(1, good),
        "rejected": turn(1, bad),
    }
    pair = sharegpt_pairs(row)
    assert (pair.prompt, pair.chosen, pair.rejected) == (
        dialogue(*shared),
        (Message("assistant", good),),
        (Message("assistant", bad),),
    )


def test_an_answer_that_is_not_to_be_learnt_makes_no_pair() -> None:
    weighted = [{**QUESTION, "loss_weight": 0}, {**GOOD, "loss_weight": 1}]
    assert pairs({"chosen": weighted, "rejected": [QUESTION, BAD]}).chosen == (Message("assistant", "good"),)
    with pytest.raises(RowError, match="the last turn of rejected has a loss_weight of 0"):
        pairs({"chosen": weighted, "rejected": [QUESTION, {**BAD, "loss_weight": 0.0}]})
