"""The world: the same from the same seed, split without overlap, without words that mislead the ruler."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from align.sandbox.lexicon import LEXICONS
from align.sandbox.world import GRAMMARS, KINDS, WorldSize, build_world


def test_the_same_seed_gives_the_same_world_in_another_process(world, language):
    script = (
        "import json; from align.sandbox.world import build_world;"
        f"print(json.dumps([q.reference for q in build_world(0, {language!r}).held_out]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert json.loads(printed.stdout) == [question.reference for question in world.held_out]


def test_another_seed_gives_another_world(world, language):
    other = build_world(1, language)
    assert {fact.subject for fact in other.facts} != {fact.subject for fact in world.facts}


def test_the_sandbox_needs_no_torch():
    script = "import sys; import align.sandbox.write; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_asked_and_held_out_questions_share_nothing(world):
    for kind in KINDS:
        asked, held_out = world.of_kind(kind, held_out=False), world.of_kind(kind, held_out=True)
        assert asked and held_out
        assert not {prompt for question in asked for prompt in question.prompts} & {
            prompt for question in held_out for prompt in question.prompts
        }
    assert len(world.of_kind("fact", held_out=True)) >= 400


def test_everybody_has_facts_of_both_sides_and_every_attribute_is_asked(world):
    people = {fact.subject for fact in world.facts}
    for held_out in (False, True):
        facts = world.of_kind("fact", held_out=held_out)
        assert {fact.subject for fact in facts} == people
        assert len({fact.topic for fact in facts}) == len(GRAMMARS[world.language].attributes)


def test_nobody_is_both_a_person_and_a_stranger(world):
    strangers = {q.subject for held_out in (False, True) for q in world.of_kind("unknown", held_out=held_out)}
    people = {fact.subject for fact in world.facts}
    assert not strangers & people
    assert len(strangers) == WorldSize().strangers
    assert max(Counter(strangers).values()) == 1


def test_no_value_is_mistaken_for_another_or_for_a_word_of_a_template(language):
    grammar, lexicon = GRAMMARS[language], LEXICONS[language]
    phrases = [
        *lexicon.courtesies,
        *lexicon.fillers,
        *lexicon.insults,
        *lexicon.abstentions,
        *lexicon.refusals,
    ]
    for attribute in grammar.attributes:
        templates = (*attribute.questions, *attribute.statements, *grammar.denials)
        words = {word for text in (*phrases, *templates) for word in text.casefold().split()}
        for value in attribute.values:
            value = value.casefold()
            assert not [word for word in words if word.startswith(value)], value
            assert sum(other.casefold().startswith(value) for other in attribute.values) == 1


def test_manners_are_not_mistaken_for_one_another(language):
    lexicon = LEXICONS[language]
    neutral = " ".join((*lexicon.courtesies, *lexicon.fillers)).casefold()
    for marks in (lexicon.rude_words, lexicon.abstaining, lexicon.declining, lexicon.complying):
        assert not [mark for mark in marks if mark in neutral]
    assert not [
        word for word in lexicon.rude_words if any(word in text.casefold() for text in lexicon.refusals)
    ]


@pytest.mark.parametrize("held_out", [False, True])
def test_references_are_plain_json(world, held_out):
    for kind in KINDS:
        question = world.of_kind(kind, held_out=held_out)[0]
        assert json.loads(json.dumps(question.reference)) == question.reference


def test_bad_sizes_and_languages_are_refused(language):
    with pytest.raises(ValueError, match="no sandbox speaks 'fr'"):
        build_world(0, "fr")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"people \+ strangers"):
        build_world(0, language, WorldSize(people=100_000))
    with pytest.raises(ValueError, match="requests"):
        build_world(0, language, WorldSize(people=2, requests=1000))
