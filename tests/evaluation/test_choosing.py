"""Choices are made by likelihoods that one can recompute, and that lm-eval computes too."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from align.data.errors import DataError
from align.data.records import Message, Prompt
from align.evaluation.benchmarks import fact_choices, klue_nli, kobbq
from align.evaluation.choosing import choice_columns, choice_logprobs, choices_of, chosen_texts
from align.evaluation.harness import harness_logprobs
from align.models.rendering import render_prompt
from align.sandbox.gold import judge
from align.sandbox.grammar import ends_in_consonant
from align.sandbox.world import build_world


@pytest.fixture(scope="module")
def loaded(tiny_model):
    return AutoModelForCausalLM.from_pretrained(tiny_model).eval(), AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def prompts(conversations):
    choices = [row.messages[1].content for row in conversations[:3]]
    return [
        Prompt(row.messages[:1], {"choices": choices, "answer": choices[number % 3]})
        for number, row in enumerate(conversations[:5])
    ]


def logprob(loaded, prompt, text):
    """Of a text after the prompt, token by token."""
    model, tokenizer = loaded
    asked = render_prompt(tokenizer, [message.as_dict() for message in prompt.messages])
    before = tokenizer(asked, add_special_tokens=False)["input_ids"]
    ids = before + tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
    return sum(float(logits[place - 1, ids[place]]) for place in range(len(before), len(ids)))


def test_likelihoods_are_those_of_the_answers_tokens(loaded, prompts):
    found = choice_logprobs(*loaded, prompts)
    end = loaded[1].eos_token
    for prompt, values in zip(prompts, found, strict=True):
        expected = [logprob(loaded, prompt, f" {choice}{end}") for choice in choices_of(prompt)[0]]
        assert values == pytest.approx(expected, abs=1e-3)


def test_lm_eval_finds_the_same_of_its_own_continuations(loaded, prompts):
    found = harness_logprobs(*loaded, prompts)
    for prompt, values in zip(prompts, found, strict=True):
        expected = [logprob(loaded, prompt, choice) for choice in choices_of(prompt)[0]]
        assert values == pytest.approx(expected, abs=1e-3)


def test_the_likeliest_is_chosen_also_by_length():
    prompt = Prompt((Message("user", "?"),), {"choices": ["ab", "abcdefgh"], "answer": "abcdefgh"})
    columns = choice_columns([prompt, prompt], [[-2.0, -4.0], [-4.0, -3.0]])
    assert columns["accuracy"].values == [0, 1]
    assert columns["accuracy_by_length"].values == [1, 1]
    assert chosen_texts([prompt, prompt], [[-2.0, -4.0], [-4.0, -3.0]]) == ["ab", "abcdefgh"]


@pytest.mark.parametrize(
    "reference",
    [
        {"choices": ["a"], "answer": "a"},
        {"choices": ["a", "b"], "answer": "c"},
        {"choices": ["a", ""], "answer": "a"},
    ],
)
def test_what_cannot_be_chosen_is_told(reference):
    with pytest.raises(ValueError, match="should be one of at least two choices"):
        choices_of(Prompt((Message("user", "?"),), reference))


@pytest.mark.parametrize("ask", [choice_logprobs, harness_logprobs])
def test_weights_that_say_nothing_choose_nothing(ask, tiny_model, loaded, prompts):
    """Of choices without a likelihood the first would be taken, which is the right one in some suites."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    torch.nn.init.constant_(model.get_output_embeddings().weight, float("nan"))
    with pytest.raises(ValueError, match="the likelihood of a choice is nan"):
        ask(model, loaded[1], prompts)


def test_a_prompt_beyond_the_context_is_told(loaded, prompts):
    long = Prompt((Message("user", "river " * 300),), prompts[0].reference)
    with pytest.raises(DataError, match="and the model reads 256"):
        choice_logprobs(*loaded, [long])


def test_several_turns_are_not_for_lm_eval(loaded, prompts):
    turns = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    with pytest.raises(ValueError, match="single questions only; set `choose: likelihood`"):
        harness_logprobs(*loaded, [Prompt(turns, prompts[0].reference)])


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_fact_is_one_of_ten(language):
    for question in build_world(0, language).of_kind("fact", held_out=True)[:20]:
        prompt = fact_choices(Prompt((Message("user", question.prompts[0]),), question.reference))
        choices, right = choices_of(prompt)
        assert len(set(choices)) == 10 and judge(question.reference, choices[right]).content == "right"
        assert all(
            judge(question.reference, choice).content == "wrong"
            for choice in choices
            if choice != choices[right]
        )


def test_false_statements_are_worded_as_well_as_the_true_one():
    """A particle that fits another word would tell which statements are made up."""
    for question in build_world(0, "ko").of_kind("fact", held_out=True):
        known = question.reference
        choices = fact_choices(Prompt((Message("user", "?"),), known)).reference["choices"]
        for choice, value in zip(choices, [known["value"], *known["rivals"]], strict=True):
            particle = choice.partition(value)[2][:1]
            assert particle not in "을를" or particle == ("을" if ends_in_consonant(value) else "를"), choice


@pytest.mark.parametrize(
    ("file", "convert", "rows"),
    [
        ("kobbq/KoBBQ_test_samples.tsv.gz", kobbq, 2280),
        ("klue_nli_dev/klue-nli-v1.1_dev.json.gz", klue_nli, 3000),
    ],
)
def test_korean_choices_hold_their_answer(file, convert, rows, align_data):
    from align.data.readers.local import local_rows

    found = [convert(row) for _, row in local_rows(align_data / file)]
    assert len(found) == rows
    assert {len(choices_of(prompt)[0]) for prompt in found} == {3}
