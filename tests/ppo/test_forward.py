"""Completion log-probabilities and values against the long way round: left-padded rows, whole logits.

Guards T2 and T3 of the specification: padding, absolute positions, temperature and forbidden ids.
"""

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
)

from align.models.dropout import disable_dropout
from align.ppo.forward import STATES_STEP, CompletionLogprobs, CompletionValues, Sequences
from align.ppo.rollout import as_sequences

VOCABULARY = 53
PROMPTS = [[5, 6, 7, 8, 9], [3], [11, 12, 13]]
COMPLETIONS = [[20, 21, 2], [22, 0, 23, 24, 25, 26], [2]]  # one of a token, one with a padding id inside


def llama(**changes: object) -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    return LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4, pad_token_id=0, **changes)).eval()


def gpt2() -> PreTrainedModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    ).eval()


def parts(sequences: Sequences) -> tuple[torch.Tensor, ...]:
    return sequences.input_ids, sequences.prompt_lengths, sequences.lengths


def nothing_forbidden() -> torch.Tensor:
    return torch.zeros(VOCABULARY, dtype=torch.bool)


def the_long_way(model: PreTrainedModel, temperature: float, forbidden: torch.Tensor) -> list[torch.Tensor]:
    """Left-padded rows with mask and position ids, as they are sampled; float32 logits of everything."""
    width = max(len(p) + len(c) for p, c in zip(PROMPTS, COMPLETIONS, strict=True))
    found = []
    for prompt, completion in zip(PROMPTS, COMPLETIONS, strict=True):
        ids = torch.tensor([[0] * (width - len(prompt) - len(completion)) + prompt + completion])
        mask = torch.arange(width)[None] >= width - len(prompt) - len(completion)
        positions = (mask.long().cumsum(1) - 1).clamp(min=0)
        logits = model(input_ids=ids, attention_mask=mask.long(), position_ids=positions).logits[0]
        logits = (logits / temperature).masked_fill(forbidden, -torch.inf)
        logprobs = logits[width - len(completion) - 1 : -1].log_softmax(1)
        found.append(logprobs.gather(1, torch.tensor(completion)[:, None])[:, 0])
    return found


@pytest.mark.parametrize("make", [llama, gpt2])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_are_those_of_the_whole_model_however_rows_are_padded(make, temperature) -> None:
    """trl#469, trl#5608, trlx#508: positions, and ids beyond the tokenizer, are those of generation."""
    model, forbidden = make(), nothing_forbidden()
    forbidden[[1, 50]] = True
    scorer = CompletionLogprobs(model, temperature, forbidden)
    expected = the_long_way(model, temperature, forbidden)

    for pad in (0, 17):  # whatever stands there
        together, _ = scorer(*parts(as_sequences(PROMPTS, COMPLETIONS, pad)))
        wider, _ = scorer(*parts(as_sequences([*PROMPTS, [4] * 7], [*COMPLETIONS, [9] * 11], pad)))
        for row, own in enumerate(expected):
            alone, _ = scorer(*parts(as_sequences([PROMPTS[row]], [COMPLETIONS[row]], pad)))
            torch.testing.assert_close(alone[0], own, atol=1e-5, rtol=0)
            torch.testing.assert_close(together[row, : len(own)], own, atol=1e-5, rtol=0)
            torch.testing.assert_close(wider[row, : len(own)], own, atol=1e-5, rtol=0)
            assert not together[row, len(own) :].any()


def test_gradient_and_entropy_are_those_of_the_whole_model() -> None:
    model, forbidden = llama(), nothing_forbidden()
    forbidden[1] = True
    scorer = CompletionLogprobs(model, 0.8, forbidden)
    sequences = as_sequences(PROMPTS, COMPLETIONS, 0)
    weights = torch.randn(sequences.mask.shape)

    def gradients(total: torch.Tensor) -> list[torch.Tensor]:
        model.zero_grad()
        total.backward()
        return [weight.grad.clone() for weight in model.parameters()]

    lean = gradients((scorer(*parts(sequences))[0] * weights).sum())
    rows = the_long_way(model, 0.8, forbidden)
    long = gradients(sum((row * weights[at, : len(row)]).sum() for at, row in enumerate(rows)))
    for one, other in zip(lean, long, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)

    with torch.no_grad():
        logprobs, entropy = scorer(*parts(sequences), with_entropy=True)
        logits = (model(input_ids=torch.tensor([PROMPTS[1] + COMPLETIONS[1]])).logits[0] / 0.8)[:-1]
        every = logits.masked_fill(forbidden, -torch.inf).log_softmax(1)
        expected = -(every.exp() * every.masked_fill(forbidden, 0)).sum(1)
    torch.testing.assert_close(entropy[1, : len(expected)], expected, atol=1e-5, rtol=0)
    assert not entropy[0, 3:].any() and not logprobs[2, 1:].any()


def test_only_completion_tokens_reach_the_output_layer() -> None:
    """T19, trl#234, trl#1535: the memory of logits does not grow with the prompt."""
    model = llama()
    seen: list[int] = []
    model.lm_head.register_forward_hook(lambda module, inputs, output: seen.append(output.numel()))
    sequences = as_sequences([[7] * 40, [8] * 30], [[9, 2], [9, 10, 2]], 0)
    scorer = CompletionLogprobs(model, 1.0, nothing_forbidden())

    with torch.autograd.graph.saved_tensors_hooks(
        lambda kept: sizes.append(kept.shape) or kept, lambda kept: kept
    ):
        sizes: list[torch.Size] = []
        scorer(*parts(sequences))

    assert not seen  # the layer's weight is used on chosen rows, the layer itself is never called
    assert [size for size in sizes if size[-1:] == (VOCABULARY,)] == [torch.Size([STATES_STEP, VOCABULARY])]


@pytest.mark.parametrize("kind", [LlamaForSequenceClassification, GPT2ForSequenceClassification])
def test_values_stand_before_the_token_they_judge_however_rows_are_padded(kind) -> None:
    """DeepSpeedExamples#672: off by one at the end. trl#5303: masks were made of padding ids."""
    torch.manual_seed(0)
    config = (llama() if kind is LlamaForSequenceClassification else gpt2()).config
    config.num_labels = 1
    model = kind(config).eval()
    scorer = CompletionValues(model)
    values = scorer(*parts(as_sequences(PROMPTS, COMPLETIONS, 0)))
    wider = scorer(*parts(as_sequences([*PROMPTS, [4] * 7], [*COMPLETIONS, [9] * 11], 17)))

    for row, (prompt, completion) in enumerate(zip(PROMPTS, COMPLETIONS, strict=True)):
        for token in range(len(completion)):
            read = torch.tensor([prompt + completion[:token]])  # the state before the token
            expected = model.score(model.base_model(read).last_hidden_state[0, -1])[0]
            torch.testing.assert_close(values[row, token], expected, atol=1e-5, rtol=0)
            torch.testing.assert_close(wider[row, token], expected, atol=1e-5, rtol=0)
        assert not values[row, len(completion) :].any()


def test_dropout_is_off_in_training_mode_too() -> None:
    """T2 with attention dropout: modules, where earlier code looked, are not all that keeps a rate."""
    model = llama(attention_dropout=0.5)
    disable_dropout(model)
    model.train()
    scorer = CompletionLogprobs(model, 1.0, nothing_forbidden())
    first, _ = scorer(*parts(as_sequences(PROMPTS, COMPLETIONS, 0)))
    second, _ = scorer(*parts(as_sequences(PROMPTS, COMPLETIONS, 0)))
    assert torch.equal(first, second)
