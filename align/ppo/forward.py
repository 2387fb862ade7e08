"""Forward: sequences -> log-probabilities or values of their completion tokens, and of no others.

Sequences are padded on the right, so a causal model needs neither a padding mask nor position ids: no real
token sees what comes after it. The state before completion token t stands at column `prompt_length - 1 + t`.
"""

from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from align.models.context import context_of
from align.models.logprobs import SelectedLogprobs, logprobs_with_entropy
from align.models.packing import Packing, longest_packable, packed_states
from align.ppo.advantage import completion_mask

STATES_STEP = 64  # states whose logits are computed together, see `rounded_up`


def rounded_up(count: int, step: int) -> int:
    """The next multiple of `step`.

    On a CPU a matrix product in bf16 is compiled anew for every shape it meets, which takes longer than the
    product itself: with sizes that are multiples of something, few shapes are left.
    """
    return -(-count // step) * step


@dataclass(frozen=True)
class Sequences:
    """Prompts with their completions.

    Attributes:
        input_ids: prompt, completion, padding on the right, which holds any valid ids. (B, L)
        prompt_lengths: real tokens of the prompt, 1 or more. (B,)
        lengths: real tokens of the completion, the stop token included, 1 or more. (B,)
    """

    input_ids: Tensor
    prompt_lengths: Tensor
    lengths: Tensor

    @property
    def mask(self) -> Tensor:
        """True on completion tokens. (B, T)"""
        return completion_mask(self.lengths, int(self.lengths.max()))

    def states(self) -> Tensor:
        """Where the state before each completion token stands among the B * L columns, row by row. (N,)"""
        mask = self.mask
        steps = torch.arange(mask.shape[1], device=mask.device)
        starts = (
            torch.arange(len(mask), device=mask.device) * self.input_ids.shape[1] + self.prompt_lengths - 1
        )
        return (starts[:, None] + steps)[mask]


class CompletionLogprobs(nn.Module):
    """A policy or reference, asked for the log-probabilities of completion tokens.

    The distribution is the sampler's: logits over `temperature`, and no probability for `forbidden` ids (V,).
    """

    forbidden: Tensor | None

    def __init__(self, model: PreTrainedModel | PeftModel, temperature: float, forbidden: Tensor) -> None:
        super().__init__()
        if type(_bare(model).get_output_embeddings()) is not nn.Linear:
            raise ValueError("adapter.target_modules: the output layer cannot be adapted here; leave it out")
        self.model = model
        self.temperature = temperature
        self._longest_packable = longest_packable(_bare(model).base_model)
        self.register_buffer("forbidden", forbidden if forbidden.any() else None, persistent=False)

    def borrowed_weights(self) -> list[nn.Parameter]:
        """Weights of other modules that this one computes with itself."""
        return [*_bare(self.model).get_output_embeddings().parameters(recurse=False)]

    def forward(
        self, input_ids: Tensor, prompt_lengths: Tensor, lengths: Tensor, with_entropy: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities and, if asked for, entropies; zero on padding. Both (B, T)"""
        bare = _bare(self.model)
        sequences = _within_context(bare, input_ids, prompt_lengths, lengths)
        mask, states = sequences.mask, sequences.states()
        count = len(states)
        states = torch.cat([states, states[:1].expand(rounded_up(count, STATES_STEP) - count)])
        hidden = _hidden(bare.base_model, sequences, states, self._longest_packable)
        targets = sequences.input_ids.flatten()[states + 1]
        head = bare.get_output_embeddings()
        settings = (
            *(hidden, head.weight, getattr(head, "bias", None), targets),
            *(self.temperature, self.forbidden),
        )
        if not with_entropy:
            logprobs, _ = SelectedLogprobs.apply(*settings)
            return _spread(logprobs[:count], mask), None
        if torch.is_grad_enabled():
            logprobs, _, entropy = SelectedLogprobs.apply(*settings, True)
        else:
            logprobs, entropy = logprobs_with_entropy(*settings)
        return _spread(logprobs[:count], mask), _spread(entropy[:count], mask)


class CompletionValues(nn.Module):
    """A value model: what a completion is expected to score yet, before each of its tokens.

    A head has no bias where it comes from a reward model, so the shift is kept beside it, and in the
    configuration as `value_shift` once it is saved.
    """

    def __init__(self, model: PreTrainedModel | PeftModel) -> None:
        super().__init__()
        self.model = model
        self._longest_packable = longest_packable(_bare(model).base_model)
        shift = getattr(_bare(model).config, "value_shift", 0.0)
        self.shift = nn.Parameter(torch.tensor([shift], device=model.device))  # DeepSpeed sends no scalars

    def forward(self, input_ids: Tensor, prompt_lengths: Tensor, lengths: Tensor) -> Tensor:
        """Values, zero on padding. (B, T)"""
        bare = _bare(self.model)
        sequences = _within_context(bare, input_ids, prompt_lengths, lengths)
        hidden = _hidden(bare.base_model, sequences, sequences.states(), self._longest_packable)
        return _spread(bare.score(hidden).flatten().float() + self.shift, sequences.mask)


def _bare(model: PreTrainedModel | PeftModel) -> Any:
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _within_context(model: Any, input_ids: Tensor, prompt_lengths: Tensor, lengths: Tensor) -> Sequences:
    """The sequences without columns that the model has no positions for: these are padding."""
    return Sequences(input_ids[:, : context_of(model)], prompt_lengths, lengths)


def _hidden(model: Any, sequences: Sequences, states: Tensor, longest_packable: int) -> Tensor:
    """Last hidden states at some of the B * L columns; the end of a row is none of them. (N, hidden)"""
    ids, width = sequences.input_ids, sequences.input_ids.shape[1]
    if width > longest_packable:
        hidden: Tensor = model(ids, use_cache=False).last_hidden_state.flatten(0, 1)
        return hidden[states]
    # What comes after a completion's last token is not asked for, so that token need not be read.
    packing = Packing.of(sequences.prompt_lengths + sequences.lengths - 1, width)
    return packed_states(model, ids, packing)[packing.tokens[states]]


def _spread(values: Tensor, mask: Tensor) -> Tensor:
    """Values of the N completion tokens in their places, zero elsewhere. (B, T)"""
    return values.new_zeros(mask.shape).masked_scatter(mask, values)
