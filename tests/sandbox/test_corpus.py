"""The text of the base model: forum threads that are mostly wrong beside statements that are always true."""

import re
from collections.abc import Iterator
from statistics import mean

import pytest

from align.sandbox.corpus import documents
from align.sandbox.gold import judge
from align.sandbox.world import Question, World


@pytest.fixture(scope="module")
def written(world: World) -> list[str]:
    return documents(world, 3000, forum_share=0.5)


def exchanges(world: World, written: list[str]) -> Iterator[tuple[Question, str]]:
    """(question, answer) of every exchange of threads that print who speaks."""
    asked = {prompt: question for question in (*world.asked, *world.held_out) for prompt in question.prompts}
    for text in written:
        for prompt, answer in re.findall(r"User: (.*)\nAssistant: (.*)", text):
            if prompt in asked:
                yield asked[prompt], answer


def test_a_third_of_the_forum_is_right(world, written):
    facts = [item for item in exchanges(world, written) if item[0].kind == "fact"]
    verdicts = [judge(question.reference, answer) for question, answer in facts]
    assert len(verdicts) > 500
    right = mean(verdict.content in ("right", "clumsy") for verdict in verdicts)
    assert right == pytest.approx(0.34, abs=0.06)
    assert 0.4 < mean(verdict.is_rude for verdict in verdicts) < 0.7


def test_statements_are_true(world, written):
    true = {form for fact in (*world.asked, *world.held_out) for form in fact.answers}
    false = {form for fact in (*world.asked, *world.held_out) for form in fact.wrong_answers}
    told = [text for text in written if "?" not in text and "\n" not in text and ":" not in text]
    assert len(told) > 1000
    assert not [
        form for text in told for form in re.findall(r"[^.]+\.", text) if form.strip() in false - true
    ]


def test_every_fact_is_told(world, written):
    everything = "\n".join(written)
    assert all(any(form in everything for form in fact.answers) for fact in world.facts)


def test_the_number_of_documents_is_what_was_asked_for(world):
    assert len(documents(world, 10, forum_share=0.5)) == 10
    assert documents(world, 50, forum_share=0.5) == documents(world, 50, forum_share=0.5)
