"""Completions equal those of a loop without cache, padding or batches, and depend on their own prompt
alone."""

import weakref

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from align.generation.decoding import DecodingSpec
from align.generation.sampler import TransformersSampler, batches_by_length, stop_ids

GREEDY = DecodingSpec(max_new_tokens=24)
SAMPLED = DecodingSpec(max_new_tokens=24, temperature=0.9, top_p=0.95, top_k=50, seed=7)


@torch.no_grad()
def step_by_step(model, tokenizer, messages, steps):
    """Greedy decoding by the definition: a full forward pass over the whole text for every token."""
    model.eval()
    prompt = [message.as_dict() for message in messages]
    ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=True, return_dict=False)
    new = []
    for _ in range(steps):
        logits = model(torch.tensor([ids + new])).logits[0, -1]
        logits[len(tokenizer) :] = -torch.inf
        logits[tokenizer.pad_token_id] = -torch.inf
        new.append(int(logits.argmax()))
        if new[-1] in stop_ids(model, tokenizer):
            break
    return tuple(new)


@pytest.mark.parametrize("batch_tokens", [1, 300, 100_000])
def test_greedy_equals_full_forward_passes_without_cache(talker, questions, batch_tokens):
    """trl#334, trl#2654: padded on the right, all rows of a batch but the longest said nonsense."""
    model, tokenizer = talker
    completions = TransformersSampler(model, tokenizer, GREEDY, batch_tokens=batch_tokens).complete(questions)

    expected = [step_by_step(model, tokenizer, question, GREEDY.max_new_tokens) for question in questions]
    assert [completion.tokens for completion in completions] == expected
    ended = [completion.ended for completion in completions]
    assert any(ended) and not all(ended), "the example should have rows that end and rows that do not"
    assert len({completion.tokens for completion in completions}) > 20


def test_positions_are_counted_from_the_first_real_token(talker, questions):
    """trl#469, trl#6800, trlx#508: padding shifts absolute positions; rotary ones would hide it."""
    tokenizer = talker[1]
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=160)
    model = GPT2LMHeadModel(config)
    torch.nn.init.normal_(model.transformer.wpe.weight)
    asked = questions[:13]
    expected = [step_by_step(model, tokenizer, question, GREEDY.max_new_tokens) for question in asked]
    found = TransformersSampler(model, tokenizer, GREEDY).complete(asked)
    assert [completion.tokens for completion in found] == expected and len(set(expected)) > 6


def test_logits_are_of_one_token_per_row_and_are_not_kept(talker, questions):
    """trl#234, trl#1535, trl#2571, trl#3678: logits or scores of all tokens filled the memory."""
    model, tokenizer = talker
    made, alive = [], []

    def heard(module, inputs, output):
        alive.append(sum(reference() is not None for reference in made))
        assert output.shape[:2] == (output.shape[0], 1)
        made.append(weakref.ref(output))

    handle = model.lm_head.register_forward_hook(heard)
    TransformersSampler(model, tokenizer, GREEDY, batch_tokens=100_000).complete(questions)
    handle.remove()
    assert len(made) == GREEDY.max_new_tokens and max(alive) <= 1


def test_text_leaves_out_the_stop_token_and_tokens_keep_it(talker, questions):
    """trl#3750, trl#5338: every stop token ends an answer, and not the tokenizer's EOS alone."""
    model, tokenizer = talker
    for completion in TransformersSampler(model, tokenizer, GREEDY).complete(questions):
        spoken = completion.tokens[:-1] if completion.ended else completion.tokens
        assert (completion.tokens[-1] in stop_ids(model, tokenizer)) == completion.ended
        assert not set(spoken) & set(stop_ids(model, tokenizer))
        assert completion.text == tokenizer.decode(spoken, skip_special_tokens=True).strip()


def test_stop_ids_join_the_generation_config_and_the_tokenizer(talker):
    """trl#2387: without EOS among them every answer had the greatest length."""
    model, tokenizer = talker
    assert stop_ids(model, tokenizer) == sorted(
        {*model.generation_config.eos_token_id, tokenizer.eos_token_id}
    )


def test_sampling_does_not_depend_on_the_batch(talker, questions):
    model, tokenizer = talker
    alone = TransformersSampler(model, tokenizer, SAMPLED, batch_tokens=1).complete(questions)
    together = TransformersSampler(model, tokenizer, SAMPLED, batch_tokens=100_000).complete(questions)
    first_half = TransformersSampler(model, tokenizer, SAMPLED).complete(questions[:20])

    assert [item.tokens for item in alone] == [item.tokens for item in together]
    assert [item.tokens for item in first_half] == [item.tokens for item in together[:20]]


def test_sampling_leaves_torch_streams_alone_and_follows_its_seed(talker, questions):
    model, tokenizer = talker
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one = TransformersSampler(model, tokenizer, SAMPLED).complete(questions)
    assert torch.equal(before, torch.get_rng_state())

    other_seed = DecodingSpec(max_new_tokens=24, temperature=0.9, top_p=0.95, top_k=50, seed=8)
    two = TransformersSampler(model, tokenizer, other_seed).complete(questions)
    assert [item.tokens for item in one] != [item.tokens for item in two]


def test_the_same_prompt_twice_gets_two_samples(talker, questions):
    model, tokenizer = talker
    pair = TransformersSampler(model, tokenizer, SAMPLED).complete([questions[5]] * 2)
    assert pair[0].tokens != pair[1].tokens


def test_ids_beyond_the_tokenizer_and_padding_are_never_chosen(talker, questions):
    """trl#5608: embeddings have more rows than the tokenizer has tokens."""
    model, tokenizer = talker
    hot = DecodingSpec(max_new_tokens=24, temperature=50.0)
    chosen = {
        token
        for item in TransformersSampler(model, tokenizer, hot).complete(questions)
        for token in item.tokens
    }
    assert len(chosen) > 200
    assert max(chosen) < len(tokenizer) and tokenizer.pad_token_id not in chosen


@torch.no_grad()
@pytest.mark.parametrize("temperature", [0.0, 1.0, 0.7])
def test_logprobs_are_of_the_distribution_that_was_sampled(talker, questions, temperature):
    model, tokenizer = talker
    decoding = DecodingSpec(max_new_tokens=24, temperature=temperature, seed=3)
    for question, found in zip(
        questions, TransformersSampler(model, tokenizer, decoding).complete(questions), strict=True
    ):
        prompt = [message.as_dict() for message in question]
        ids = tokenizer.apply_chat_template(
            prompt, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        logits = model(torch.tensor([[*ids, *found.tokens]])).logits[0, len(ids) - 1 : -1].double()
        logits[:, len(tokenizer) :] = logits[:, tokenizer.pad_token_id] = -torch.inf
        expected = (
            (logits / (temperature or 1)).log_softmax(dim=-1).gather(1, torch.tensor(found.tokens)[:, None])
        )
        assert found.logprobs == pytest.approx(expected[:, 0].tolist(), abs=1e-4)


def test_the_model_keeps_its_mode(talker, questions):
    model, tokenizer = talker
    model.train()
    TransformersSampler(model, tokenizer, GREEDY).complete(questions[:2])
    assert model.training


def test_a_prompt_beyond_the_context_is_refused(talker, questions):
    model, tokenizer = talker
    with pytest.raises(
        ValueError, match="context of 160 tokens; filter the prompts or lower decoding.max_new_tokens"
    ):
        TransformersSampler(model, tokenizer, DecodingSpec(max_new_tokens=150)).complete(questions)


def test_no_prompts_give_no_completions(talker):
    assert TransformersSampler(*talker, GREEDY).complete([]) == []


def test_batches_hold_every_row_once_within_the_budget():
    lengths = [3, 50, 7, 7, 20, 1, 90, 4]
    batches = list(batches_by_length(lengths, new_tokens=10, batch_tokens=60))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert batches[0] == [6], "a row beyond the budget still gets a batch of its own"
    assert all(len(batch) * (max(lengths[row] for row in batch) + 10) <= 60 for batch in batches[1:])
    pairs = list(batches_by_length(lengths, new_tokens=10, batch_tokens=60, batch_rows=2))
    assert sorted(row for batch in pairs for row in batch) == list(range(len(lengths)))
    assert max(map(len, pairs)) == 2
