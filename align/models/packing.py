"""Packing: rows of different lengths as one row without padding, where tokens meet in attention alone.

A model reads the row with position ids that begin anew, and with a `packing` that its attention is handed:
there, and nowhere else, tokens stand in their rectangle again.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from align.models.attention import SHORT_CAUSAL

TOKENS_STEP = 64  # packed tokens are a multiple of it, so that matrix products come in few shapes


@dataclass(frozen=True)
class Packing:
    """Which token stands where: N tokens, row after row, and the rectangle (B, L) that they come from.

    Attributes:
        shape: (B, L)
        columns: of each token, the column among the B * L; fillers at the end name the first. (N,)
        tokens: at each column the token's number; on padding 0. (B * L,)
        fillers: which of the tokens are fillers. (N - those that are real,)
        padding: which of the columns are padding. (B * L - those that are not,)
    """

    shape: tuple[int, int]
    columns: Tensor
    tokens: Tensor
    fillers: Tensor
    padding: Tensor

    @classmethod
    def of(cls, lengths: Tensor, width: int) -> "Packing":
        """Pack rows that are padded on the right to `width`; `lengths` (B,) are of what is real."""
        mask = (torch.arange(width, device=lengths.device) < lengths[:, None]).flatten()
        columns = mask.nonzero()[:, 0]
        count, missing = len(columns), -len(columns) % TOKENS_STEP
        tokens = torch.zeros(len(mask), dtype=torch.long, device=lengths.device)
        tokens[columns] = torch.arange(count, device=lengths.device)
        columns = torch.cat([columns, columns[:1].expand(missing)])
        fillers = torch.arange(count, count + missing, device=lengths.device)
        return cls((len(lengths), width), columns, tokens, fillers, (~mask).nonzero()[:, 0])

    @property
    def positions(self) -> Tensor:
        """Of each token in its own row. (1, N)"""
        return (self.columns % self.shape[1])[None]

    def packed(self, values: Tensor) -> Tensor:
        """What stands at the tokens of a rectangle. (B, L) -> (1, N)"""
        return values.flatten()[self.columns][None]

    def as_rows(self, states: Tensor) -> Tensor:
        """Heads of tokens in their rows; on padding, whatever. (1, H, N, C) -> (B, H, L, C)"""
        _, heads, count, channels = states.shape
        flat = states.transpose(1, 2).reshape(count, heads * channels)
        rows: Tensor = _Moved.apply(flat, self.tokens, self.columns, self.fillers)
        return rows.view(*self.shape, heads, channels).transpose(1, 2)

    def as_tokens(self, states: Tensor) -> Tensor:
        """Heads of rows, token after token. (B, L, H, C) -> (1, N, H, C)"""
        heads, channels = states.shape[2:]
        flat = states.reshape(-1, heads * channels)
        tokens: Tensor = _Moved.apply(flat, self.columns, self.tokens, self.padding)
        return tokens.view(1, -1, heads, channels)


class _Moved(torch.autograd.Function):
    """Rows of a matrix at other places: `values[to]`. Every row that counts is taken once.

    So its gradient stands at `back`, and needs no sum; the `void` rows of it have none.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, to: Tensor, back: Tensor, void: Tensor) -> Tensor:
        ctx.save_for_backward(back, void)
        return values.index_select(0, to)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        back, void = ctx.saved_tensors
        return gradients[0].index_select(0, back).index_fill_(0, void, 0), None, None, None


def packed_states(model: Any, input_ids: Tensor, packing: Packing) -> Tensor:
    """Last hidden states of a bare model, token after token; see `longest_packable`. (N, hidden)"""
    output = model(
        input_ids=packing.packed(input_ids),
        position_ids=packing.positions,
        attention_mask=input_ids.new_zeros(1, 1, 1, 1),  # of four dimensions: none is made
        packing=packing,
        use_cache=False,
    )
    states: Tensor = output.last_hidden_state[0]
    return states


def longest_packable(model: PreTrainedModel) -> int:
    """Rows up to which length a bare model reads packed as it reads them padded; 0: it does not.

    It is asked: models in which tokens meet outside of attention (convolutions, states) answer otherwise.
    """
    config = model.config.get_text_config()
    if config._attn_implementation != SHORT_CAUSAL:
        return 0
    windows = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return min((window for window in windows if window), default=2**31) if _is_alike(model) else 0


@torch.no_grad()
def _is_alike(model: PreTrainedModel) -> bool:
    lengths = torch.tensor([5, 2, 3], device=model.device)
    ids = torch.arange(15, device=model.device).view(3, 5) % model.config.get_text_config().vocab_size
    packing = Packing.of(lengths, ids.shape[1])
    padded = model(ids, use_cache=False).last_hidden_state.flatten(0, 1)[packing.columns]
    try:
        packed = packed_states(model, ids, packing)
    except TypeError:  # it has no name for what attention is handed
        return False
    return packed.shape == padded.shape and torch.allclose(packed, padded, rtol=1e-3, atol=1e-4)
