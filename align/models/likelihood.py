"""Likelihood: a causal model + conversations -> how likely it finds their last answers.

Reads   token ids of prompts and answers
Writes  nothing
Source  the chain rule: log p(answer | prompt) = sum over its tokens of log p(token | all before it)
"""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from align.models.logprobs import SelectedLogprobs
from align.models.rendering import Turns, render, render_prompt


def tokenise_answers(
    tokenizer: PreTrainedTokenizerBase, conversations: Sequence[Turns]
) -> list[tuple[list[int], list[int]]]:
    """Token ids of what comes before the last turn, and of that turn with the token that ends it.

    Raises:
        ValueError: the template writes a prompt otherwise once it is answered.
    """
    prompts, answers = [], []
    for turns in conversations:
        prompt, whole = render_prompt(tokenizer, turns[:-1]), render(tokenizer, turns)
        if not whole.startswith(prompt):
            raise ValueError("the chat template writes a prompt otherwise once it is answered")
        prompts.append(prompt)
        answers.append(whole[len(prompt) :])
    ids = (
        tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        for texts in (prompts, answers)
    )
    return list(zip(*ids, strict=True))


@torch.inference_mode()
def answer_logprobs(
    model: PreTrainedModel, rows: Sequence[tuple[Sequence[int], Sequence[int]]], bf16: bool = False
) -> list[float]:
    """Log-probability in nats of every answer given its prompt, computed in bf16 where `bf16` says so. (B,)

    Args:
        model: causal.
        rows: token ids of prompts, none of them empty, and answers.
        bf16: whether to compute in bf16.
    """
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    input_ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros_like(input_ids)
    said = torch.zeros_like(input_ids, dtype=torch.bool)  # True where the next token is the answer's
    for row, (prompt, answer) in enumerate(rows):
        whole = len(prompt) + len(answer)
        input_ids[row, :whole] = torch.tensor([*prompt, *answer])
        mask[row, :whole] = 1
        said[row, len(prompt) - 1 : whole - 1] = True
    input_ids, mask, said = (tensor.to(model.device) for tensor in (input_ids, mask, said))
    head = model.get_output_embeddings()
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        hidden = model.base_model(input_ids=input_ids, attention_mask=mask, use_cache=False).last_hidden_state
        logprobs, _ = SelectedLogprobs.apply(
            hidden[said], head.weight, getattr(head, "bias", None), input_ids.roll(-1, dims=1)[said]
        )
    total = torch.zeros(len(rows), dtype=torch.float64, device=model.device)
    total.index_add_(0, said.nonzero()[:, 0], logprobs.double())
    return total.tolist()
