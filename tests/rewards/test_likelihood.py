"""The likelihood of an answer is the chain rule over its tokens, however the rows are batched."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from align.data.records import Message, Prompt
from align.ppo.imitation import as_demonstrations
from align.rewards.likelihood import Likelihood


@pytest.fixture(scope="module")
def asked(conversations):
    prompts = [Prompt(row.messages[:-1]) for row in conversations]
    return prompts, [row.messages[-1].content for row in conversations]


@pytest.fixture(scope="module")
def one_by_one(tiny_model, asked):
    """(log-probability, tokens) of every answer, token after token from the full softmax in float64."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model).double().eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    found = []
    for prompt, answer in zip(*asked, strict=True):
        before = tokenizer(f"User: {prompt.messages[0].content}\nAssistant:", add_special_tokens=False)[
            "input_ids"
        ]
        said = tokenizer(f" {answer}{tokenizer.eos_token}", add_special_tokens=False)["input_ids"]
        ids = [*before, *said]
        with torch.no_grad():
            table = model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
        nats = sum(float(table[at - 1, ids[at]]) for at in range(len(before), len(ids)))
        found.append((nats, len(said)))
    return found


@pytest.mark.parametrize("per_token", [False, True])
def test_it_is_the_chain_rule(tiny_model, asked, one_by_one, per_token):
    expected = [nats / tokens if per_token else nats for nats, tokens in one_by_one]
    for batch_size in (1, 7, 64):
        source = Likelihood(str(tiny_model), per_token=per_token, batch_size=batch_size)
        assert source.score(*asked) == pytest.approx(expected, rel=1e-5)
    assert len(set(expected)) > 10


def test_bf16_is_close(tiny_model, asked, one_by_one):
    found = Likelihood(str(tiny_model), per_token=True, precision="bf16").score(*asked)
    expected = [nats / tokens for nats, tokens in one_by_one]
    assert found == pytest.approx(expected, rel=0.03)
    assert found != pytest.approx(expected, abs=1e-7)


def test_of_what_is_too_long_the_end_is_read(tiny_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model).double().eval()
    context = model.config.max_position_embeddings
    prompt, answer = Prompt((Message("user", "what is it? " * context),)), "It is what it is."
    text = f"User: {prompt.messages[0].content.strip()}\nAssistant: {answer}{tokenizer.eos_token}"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    said = len(tokenizer(f" {answer}{tokenizer.eos_token}", add_special_tokens=False)["input_ids"])
    with torch.no_grad():
        table = model(torch.tensor([ids[-context:]])).logits[0].log_softmax(dim=-1)
    expected = sum(float(table[context - at - 1, ids[-at]]) for at in range(1, said + 1))

    assert len(ids) > context
    assert Likelihood(str(tiny_model)).score([prompt], [answer]) == pytest.approx([expected], rel=1e-5)


def test_an_answer_longer_than_the_context_is_scored(tiny_model):
    found = Likelihood(str(tiny_model), per_token=True).score(
        [Prompt((Message("user", "what?"),))], ["it is " * 2000]
    )
    assert found[0] < 0


def test_imitation_reads_the_same_tokens(tiny_model, conversations, one_by_one):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    demonstrations = as_demonstrations(conversations, tokenizer, None)
    assert [len(item.completion) for item in demonstrations] == [tokens for _, tokens in one_by_one]
