"""Every local dataset that is shipped: rows in = rows kept + rows dropped, by reason, worked out by hand.

Raw counts are those of the data folder's README. What it does not tell was counted with a few lines of json
and csv, and stands in the comments; where answers are compared, a test counts them in another way.
"""

import json
import re
from collections import Counter
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from align.data.card import card_problems
from align.data.readers.local import local_rows
from align.data.records import Conversation, PreferencePair, Prompt, Row, Text
from align.data.source import Rows, load_rows
from align.data.spec import DataSpec
from tests.data.test_real_data import TOKENS, names, source

COPY = "exact duplicate"
BAD = "an answer that was judged bad"
TIE = "a tie"
ALONE = "the only answer to its prompt"


class Case(NamedTuple):
    name: str
    shape: type[Row]
    read: int  # rows of the file, from the README
    rows_in: int  # what the format makes of them
    kept: int
    dropped: dict[str, int] = {}


CASES = [
    # --- instructions and dialogues ---
    Case(
        "stanford_alpaca_5000", Conversation, 5000, 5000, 5000 - 2, {"output is blank": 2}
    ),  # README: blank in 2
    Case("ko_alpaca", Conversation, 10039, 10039, 10039 - 1, {"output is blank": 1}),  # README: blank in 1
    Case("alpaca_seed_tasks", Conversation, 175, 175, 175),  # each of 175 tasks has one instance
    Case("alpaca_en_demo", Conversation, 999, 999, 999 - 14, {COPY: 14}),  # README: 14 duplicates
    Case("identity_demo", Conversation, 91, 91, 91),
    Case("sft_parts_demo", Conversation, 500, 500, 500 - 1, {COPY: 1}),  # README: 1 duplicate
    Case("glaive_toolcall_demo", Conversation, 300, 300, 300 - 35, {COPY: 35}),  # README: 35 duplicates
    Case("fastchat_dummy", Conversation, 500, 500, 500),
    Case(
        "kochatgpt_sft", Conversation, 439, 439, 439
    ),  # `grep -c 'start conv'` says 439; no two blocks are alike
    Case("songys_chatbot", Conversation, 11823, 11823, 11823 - 73, {COPY: 73}),  # 11,750 different (Q, A)
    Case("safety_tuned_llamas", Conversation, 2483, 2483, 2483),
    Case("gsm8k", Conversation, 7473, 7473, 7473),  # `####` in all of them
    # --- preferences ---
    # README: 12 rows have an empty or non-alternating turn. A look at the transcripts: the chosen answer of 4
    # is empty, and 8 have two turns of one speaker in a row.
    Case(
        "hh_rlhf_harmless",
        PreferencePair,
        2033,
        2033,
        2033 - 12,
        {"a blank assistant turn": 4, "turns out of order": 8},
    ),
    Case("dpo_en_demo", PreferencePair, 300, 300, 300 - 5, {COPY: 5}),  # README: 5 duplicates
    Case("dpo_parts_demo", PreferencePair, 10, 10, 10),
    Case("stack_exchange_paired", PreferencePair, 25, 25, 25),
    # README: 0 is a tie, a few nulls. `preference` is 2 in 740 rows, 1 in 62, 0 in 1, null in 2: 805.
    Case(
        "alpaca_eval_lmcocktail",
        PreferencePair,
        805,
        805,
        740 + 62,
        {TIE: 1, "preference is null": 2},
    ),
    Case(
        "alpaca_eval_qwen", PreferencePair, 805, 805, 805 - 6, {TIE: 6}
    ),  # 6 are 1.5, 4 of them with equal outputs
    Case("alpaca_eval_null", PreferencePair, 805, 805, 805),  # none is 1.5
    Case("llmbar", PreferencePair, 419, 419, 419),  # README: 100 + 92 + 47 + 46 + 134; none is a tie
    Case("hhh_alignment", PreferencePair, 221, 221, 221),
    # 150 labels are true, 150 false. To imitate: the good ones.
    Case("kto_en_demo", Conversation, 300, 300, 150, {BAD: 150}),
    # To compare: 297 prompts, 294 with one answer, 2 with two good ones, 1 with a good and a bad one.
    Case("kto_en_demo", PreferencePair, 300, 294 + 2 + 1, 1, {ALONE: 294, TIE: 2}),
    # 14 answers to each of 37 questions are 518, of which 58 are "no answer" and 20 an end mark: 440 answers.
    # By number of answers left the questions are 1 × 9, 5 × 10, 10 × 11, 7 × 12, 9 × 13, 5 × 14, and make
    # 36 + 5 × 45 + 10 × 55 + 7 × 66 + 9 × 78 + 5 × 91 = 2430 pairs; 1058 have equal scores, 18 stand twice.
    Case(
        "komt_scored",
        PreferencePair,
        518,
        78 + 2430,
        2430 - 1058 - 18,
        {"no answer was given": 78, TIE: 1058, COPY: 18},
    ),
    # 254 questions, by verdicts: 101 × (0, 1), 69 × (0, 0), 45 × (1, 1), 34 × one answer, 2 × (0, 0, 1),
    # 1 × (0, 1, 1), 1 × (1, 1, 1), 1 × (1, 1, 1, 1): 202 + 138 + 90 + 34 + 6 + 3 + 3 + 4 = 480 answers. Pairs
    # of both verdicts: 101 + 2 × 2 + 2; of one: 69 + 45 + 2 × 1 + 1 + 3 + 6.
    Case(
        "square_ko_responses",
        PreferencePair,
        480,
        107 + 126 + 34,
        101 + 4 + 2,
        {TIE: 69 + 45 + 2 + 1 + 3 + 6, ALONE: 34},
    ),
    Case("square_ko_responses", Conversation, 480, 480, 215, {BAD: 265}),  # acceptable? is 1 in 215, 0 in 265
    # 4 solutions to each of 1319 questions. Right ones: 0 in 432 questions, 1 in 290, 2 in 236, 3 in 205,
    # 4 in 156. Pairs of a right and a wrong one: 290 × 3 + 236 × 4 + 205 × 3 = 2429, of 6 × 1319 = 7914; 3 of
    # them stand twice.
    Case(
        "gsm8k_solutions",
        PreferencePair,
        1319,
        6 * 1319,
        2429 - 3,
        {TIE: 7914 - 2429, COPY: 3},
    ),
    # Right ones: 290 + 2 × 236 + 3 × 205 + 4 × 156 = 2001 of 4 × 1319 = 5276; 7 stand twice.
    Case("gsm8k_solutions", Conversation, 1319, 4 * 1319, 2001 - 7, {BAD: 5276 - 2001, COPY: 7}),
    # --- prompts ---
    Case("hh_questions", Prompt, 4368, 4368, 4368),  # README: no oddities; `sort -u` counts 4368 lines
    Case("gsm8k_prompts", Prompt, 7473, 7473, 7473),
    Case("songys_prompts", Prompt, 11823, 11823, 11823 - 161, {COPY: 161}),  # 11,662 different questions
    # README: 3 prompts are blank and 54 rows duplicates; 2 of these are blank ones, which count as blank.
    Case("kochatgpt_prompts", Prompt, 12000, 12000, 12000 - 3 - 52, {"a blank user turn": 3, COPY: 52}),
    Case("kochatgpt_seed", Prompt, 12000, 12000, 12000 - 3 - 52, {"a blank user turn": 3, COPY: 52}),
    Case("self_instruct_user_oriented", Prompt, 252, 252, 252),  # each of 252 tasks has one instance
    Case("arena_hard", Prompt, 500, 500, 500),
    Case("mt_bench", Prompt, 80, 80, 80),
    Case("square_ko_questions", Prompt, 255, 255, 255),
    # --- text ---
    Case("c4_demo", Text, 300, 300, 300),
    Case("wiki_demo", Text, 30, 30, 30),
    Case("ud_korean_kaist", Text, 4353, 4353, 4353 - 2, {COPY: 2}),  # `sort | uniq -d` names two lines
]
# Counted in test_real_data, by whole texts.
ELSEWHERE = {"korean_news_titles", "nsmc", "tinyshakespeare"}


def loaded(name: str, shape: type[Row], data: Path, outputs: Path) -> Rows:
    return load_rows(DataSpec(sources={name: source(name, data)}), shape, outputs, control_tokens=TOKENS)


def test_no_local_dataset_is_left_out(align_data: Path) -> None:
    local = {name for name in names("data") if source(name, align_data).path is not None}
    assert local == {case.name for case in CASES} | ELSEWHERE


@pytest.mark.parametrize("case", CASES, ids=[f"{case.name}-{case.shape.__name__}" for case in CASES])
def test_kept_rows_are_the_raw_rows_less_the_odd_ones(align_data: Path, tmp_path: Path, case: Case) -> None:
    account = loaded(case.name, case.shape, align_data, tmp_path).report.sources[case.name]
    assert (account.read, account.rows_in, account.kept) == (case.read, case.rows_in, case.kept)
    assert dict(account.dropped) == case.dropped
    assert account.rows_in == account.kept + sum(account.dropped.values())


@pytest.mark.parametrize("name", ["komt_scored", "kochatgpt_sft"])
def test_cards_hold_for_a_folder_and_for_a_file_that_is_not_what_it_is_called(
    align_data: Path, tmp_path: Path, name: str
) -> None:
    assert card_problems(DataSpec(sources={name: source(name, align_data)}), tmp_path) == []


def pairs_by_hand(answers: list[tuple[str, str, float]]) -> tuple[set[tuple[str, str, str]], int, int]:
    """(different pairs (question, better, worse), all pairs, pairs of equal worth)."""
    better: set[tuple[str, str, str]] = set()
    ties = 0
    asked = Counter(question for question, _, _ in answers)
    for one, other in combinations(answers, 2):
        if one[0] == other[0]:
            ties += one[2] == other[2]
            best, worst = sorted((one, other), key=lambda answer: -answer[2])
            if best[2] > worst[2]:
                better.add((one[0], best[1], worst[1]))
    return better, sum(comb(count, 2) for count in asked.values()), ties


def komt(data: Path) -> list[tuple[str, str, float]]:
    rows = [
        json.loads(line)
        for file in sorted((data / "komt_scored").glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    said = [re.sub(r"(</s>|<\|endoftext\|>|###)$", "", row["answer"].strip()).strip() for row in rows]
    return [
        (row["instruction"], answer, row["score"])
        for row, answer in zip(rows, said, strict=True)
        if answer not in ("", "no answer")
    ]


def square(data: Path) -> list[tuple[str, str, float]]:
    rows = [row for _, row in local_rows(data / "square_ko/response_test_ood_annotations.json.gz")]
    return [(row["question"], row["response"], row["acceptable?"]) for row in rows]


@pytest.mark.parametrize("name, by_hand", [("komt_scored", komt), ("square_ko_responses", square)])
def test_compared_answers_agree_with_another_way_to_count(
    align_data: Path, tmp_path: Path, name: str, by_hand: Any
) -> None:
    better, every, ties = pairs_by_hand(by_hand(align_data))
    rows = loaded(name, PreferencePair, align_data, tmp_path)
    made = {(row.prompt[0].content, row.chosen[0].content, row.rejected[0].content) for row in rows.train}
    assert made == better
    dropped = rows.report.dropped
    assert dropped[TIE] == ties
    assert rows.report.kept + dropped[TIE] + dropped[COPY] == every
    assert all(row.margin > 0 for row in rows.train)
