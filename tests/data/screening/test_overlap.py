"""Evaluation prompts are found in texts, by the rule for their length and language."""

import csv
import gzip
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from align.data.screening.overlap import Leak, Overlap, run_length, telling_runs
from align.data.screening.words import words_of

LONG = "Write a letter to the mayor in which you ask for a new bridge over the river in town"
MIDDLE = "Name nine things that people throw away every day"
SHORT = "Why is the sky blue?"
TINY = "Who are you?"
KOREAN = "서울에서 부산까지 가장 빨리 가는 방법을 자세히 설명해 주세요 제발"


def slow(suites: Mapping[str, Sequence[str]], texts: Sequence[str]) -> list[Leak]:
    """The rule, word for word."""
    found = []
    for number, text in enumerate(texts):
        words = words_of(text)
        for suite, prompts in suites.items():
            for index, prompt in enumerate(prompts):
                asked, length = words_of(prompt), run_length(prompt)
                if length:
                    starts = range(len(words) - length + 1)
                    runs = {tuple(words[start : start + length]) for start in starts}
                    hit = any(
                        tuple(asked[start : start + length]) in runs for start in telling_runs(asked, length)
                    )
                else:
                    hit = bool(asked) and asked == words
                if hit:
                    found.append(Leak(number, suite, index, length))
    return sorted(found)


@pytest.mark.parametrize(
    "prompt, text, leaks",
    [
        (LONG, "He said: write a LETTER to the mayor, in which you ask for a new bridge!", True),
        (LONG, "Write a letter to the mayor in which you ask for", False),  # 11 words
        (MIDDLE, "name nine things that people throw away every week", True),  # 8 words
        (MIDDLE, "name nine things that people throw away", False),
        (SHORT, "Tell me, why is the sky blue?", True),
        (SHORT, "why is the sky so blue", False),
        (TINY, "who are you", True),
        (TINY, "I ask: who are you?", False),
        (KOREAN, "질문: 서울에서 부산까지 가장 빨리 가는 방법을 자세히 설명해 봐", True),
        (KOREAN, "서울에서 부산까지 가장 빨리 가는 방법을 알려 줘", False),
        (
            "Sum 1 2 3 4 5 6 7 8 9 10 11 12 and tell me what it comes to",
            "1 2 3 4 5 6 7 8 9 10 11 12 13",
            False,
        ),
        ("1 2 3 4 5 6 7 8 9", "so 1 2 3 4 5 6 7 8", True),  # it has no other run
        ("", "", False),
    ],
)
def test_the_rule(prompt: str, text: str, leaks: bool) -> None:
    suites = {"suite": [prompt]}
    assert bool(Overlap(suites).leaks([text])) is leaks
    assert Overlap(suites).leaks([text]) == slow(suites, [text])


def test_every_set_and_prompt_is_named() -> None:
    overlap = Overlap({"a": [TINY, SHORT], "b": [SHORT]})
    assert overlap.leaks(["nothing", SHORT]) == [Leak(1, "a", 1, 5), Leak(1, "b", 0, 5)]
    assert overlap.leaks([]) == []
    assert Overlap({}).leaks([SHORT]) == []


def real_suites(data: Path) -> dict[str, list[str]]:
    def table(path: str, column: str) -> list[str]:
        with (data / path).open(encoding="utf-8-sig", newline="") as stream:
            return [row[column] for row in csv.DictReader(stream)]

    def lines(path: str, field: str) -> list[str]:
        return [json.loads(line)[field] for line in (data / path).read_text(encoding="utf-8").splitlines()]

    return {
        "ifeval": lines("ifeval/en_input_data.jsonl", "prompt"),
        "xstest": table("xstest/xstest_prompts.csv", "prompt"),
        "truthfulqa": table("truthfulqa/TruthfulQA.csv", "Question"),
        "advbench": table("advbench/harmful_behaviors.csv", "goal"),
        "square": [
            row["question"] for row in json.loads((data / "square_ko/question_test_ood.json").read_text())
        ],
        "mt_bench": [turns[0] for turns in lines("fastchat/mt_bench_question.jsonl", "turns")],
    }


def test_twenty_leaked_prompts_are_all_found(align_data: Path) -> None:
    """From six sets, six of them below eight words; put among real instructions, some inside longer turns."""
    suites = real_suites(align_data)
    stream = random.Random(0)
    every = [(suite, index) for suite, prompts in suites.items() for index in range(len(prompts))]
    stream.shuffle(every)
    short = [(s, i) for s, i in every if len(words_of(suites[s][i])) < 8][:6]
    by_suite = [
        next(place for place in every if place[0] == suite and place not in short) for suite in suites
    ]
    leaked = (short + by_suite + [place for place in every if place not in short + by_suite])[:20]
    rows = json.loads(gzip.decompress((align_data / "stanford_alpaca_5000/alpaca_5000.json.gz").read_bytes()))
    clean = [row["instruction"] for row in rows[:1500]] + [row["output"] for row in rows[:1500]]
    overlap = Overlap(suites)
    before = {(leak.suite, leak.prompt) for leak in overlap.leaks(clean)}
    planted = [suites[suite][index] for suite, index in leaked]
    planted[:4] = [text.upper() for text in planted[:4]]
    planted[10:] = [f"Please: {text} Thank you." for text in planted[10:]]
    texts = clean + planted
    found = overlap.leaks(texts)
    assert {(leak.suite, leak.prompt) for leak in found if leak.text >= len(clean)} >= set(leaked)
    assert len({suite for suite, _ in leaked}) == 6 and len(leaked) == 20
    assert len(before) <= 6  # what real instructions share with these sets


def test_real_texts_give_what_the_slow_way_gives(align_data: Path) -> None:
    suites = {name: prompts[:60] for name, prompts in real_suites(align_data).items()}
    rows = json.loads(gzip.decompress((align_data / "stanford_alpaca_5000/alpaca_5000.json.gz").read_bytes()))
    texts = [row["instruction"] for row in rows[:60]] + [prompts[7] for prompts in suites.values()]
    assert Overlap(suites).leaks(texts) == slow(suites, texts)
