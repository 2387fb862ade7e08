"""The order of prompts is a function of seed and episode alone, and every prompt comes once per pass."""

import pytest

from align.data.errors import DataError
from align.data.records import Message, Prompt
from align.models.tokenizer import load_tokenizer
from align.ppo.prompts import PromptPlan, fitting

PROMPTS = [Prompt((Message("user", f"What of {number}?"),)) for number in range(7)]


def test_every_prompt_comes_once_per_pass_and_anew_in_the_next() -> None:
    plan = PromptPlan(PROMPTS, [[number] for number in range(7)], seed=3)
    passes = [[item.tokens[0] for item in plan.batch(lap * 7, 7)] for lap in range(3)]
    assert all(sorted(order) == list(range(7)) for order in passes)
    assert passes[0] != passes[1] != passes[2]


def test_processes_and_resumed_runs_ask_what_one_run_asks() -> None:
    plan = PromptPlan(PROMPTS, [[number] for number in range(7)], seed=3)
    whole = plan.batch(4, 8)
    again = PromptPlan(PROMPTS, [[number] for number in range(7)], seed=3)
    assert again.batch(4, 4) + again.batch(8, 4) == whole
    assert [item.episode for item in whole] == list(range(4, 12))
    assert all(item.prompt == PROMPTS[item.tokens[0]] for item in whole)
    other = PromptPlan(PROMPTS, [[number] for number in range(7)], seed=4)
    assert other.batch(4, 8) != whole


def test_prompts_that_are_too_long_are_left_out(tiny_model) -> None:
    tokenizer = load_tokenizer(str(tiny_model), chat_template="plain")
    long = Prompt((Message("user", "What of it? " * 30),))
    found = fitting([PROMPTS[0], long, PROMPTS[1]], tokenizer, 60)
    assert found.prompts == PROMPTS[:2] and all(len(ids) <= 60 for ids in found.tokens)
    assert [(finding.reason, finding.count) for finding in found.findings] == [("too long", 1)]
    with pytest.raises(DataError, match="no prompt has at most 3 tokens"):
        fitting([long], tokenizer, 3)
