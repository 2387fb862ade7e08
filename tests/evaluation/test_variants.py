"""The same questions asked in several ways stay the same questions: in groups, clusters and the record."""

import pytest

from align.data.errors import DataError
from align.data.records import Message, Prompt
from align.evaluation.measure import Answers, measure
from align.evaluation.metrics.metric import Column
from align.evaluation.suite import load_suite
from align.evaluation.variants.sandbox import SandboxSource
from align.evaluation.variants.variant import Context
from align.generation.sampler import Completion
from align.sandbox.gold import judge
from align.sandbox.world import build_world

PLAIN = {"_target_": "align.evaluation.variants.variant.Plain"}


@pytest.fixture
def twice(questions, tmp_path):
    from align.config.plugin import PluginSpec

    plain = PluginSpec.from_yaml(PLAIN)
    return load_suite("asked", questions(variants={"once": plain, "again": plain}, max_rows=5), tmp_path)


def test_every_way_is_a_group_and_questions_are_the_clusters(twice):
    assert len(twice.prompts) == 10 and twice.clusters == [*range(5), *range(5)]
    assert twice.groups["variant=again"] == [5, 6, 7, 8, 9]
    assert twice.described["variants"] == {"once": PLAIN, "again": PLAIN}


def test_columns_are_reported_where_they_have_weight(twice):
    completions = [Completion("t", (1,), True)] * 10
    column = Column([1.0, 0.0] * 5, [1.0] * 5 + [0.0] * 5)
    rows = list(
        measure(twice, {"sft": Answers(completions, {}, {"right": column})}, {}, resamples=50, seed=0)
    )
    found = {row.suite: row for row in rows if row.metric == "right"}
    assert set(found) == {"asked", "asked/variant=once"}
    assert found["asked"].value == pytest.approx(3 / 5) and found["asked"].n == 5


@pytest.fixture(scope="module")
def world():
    return build_world(0, "en")


def prompt_of(question):
    return Prompt((Message("user", question.prompts[0]),), question.reference)


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("kind", ["fact", "unknown"])
def test_a_source_states_what_is_right_to_answer(language, kind):
    for row, question in enumerate(build_world(1, language).of_kind(kind, held_out=True)[:20]):
        put = SandboxSource("answer")(prompt_of(question), Context(row))
        source = put.reference["source"]
        assert put.messages[-1].content == f"{source} {question.prompts[0]}"
        assert judge(put.reference, source).content == "right"
        beside = SandboxSource("other")(prompt_of(question), Context(row))
        assert judge(beside.reference, beside.reference["source"]).content == "wrong"
        assert beside.reference["answers"] == list(question.answers)


def test_what_is_not_about_anybody_has_no_source(world, questions, tmp_path):
    from align.config.plugin import PluginSpec

    total = world.of_kind("sum", held_out=True)[0]
    with pytest.raises(ValueError, match="has a source about people only"):
        SandboxSource()(prompt_of(total), Context(0))
    source = PluginSpec.from_yaml({"_target_": "align.evaluation.variants.sandbox.SandboxSource"})
    with pytest.raises(DataError, match="suites.asked.variants: needs `topic` in the reference"):
        load_suite("asked", questions(variants={"grounded": source}), tmp_path)
