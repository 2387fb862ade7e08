"""Logprobs: hidden states -> log-probabilities of chosen tokens, without fp32 logits being kept."""

from typing import Any

import torch

# Logits are brought to fp32 this many at a time, so that a block stays in the processor's cache.
BLOCK = 2**18


class SelectedLogprobs(torch.autograd.Function):
    """log softmax((hidden @ weight.T + bias) / temperature)[target] without keeping fp32 logits.

    `forbidden` (V,) marks ids that have no probability; none of the targets may be among them. Asked for
    `with_entropy` it also gives the entropy of the distribution that each target comes from.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        temperature: float = 1.0,
        forbidden: torch.Tensor | None = None,
        with_entropy: bool = False,
    ) -> tuple[torch.Tensor, ...]:
        """Log-probabilities of `targets` (N,) given `hidden` (N, H), and whether each is most likely. (N,)"""
        hidden, cast_weight, logits = _project(hidden, weight, bias, temperature, forbidden)
        normaliser = torch.empty(len(targets), device=hidden.device)
        logprobs = torch.empty_like(normaliser)
        is_top = torch.empty_like(targets, dtype=torch.bool)
        entropy = torch.empty_like(normaliser) if with_entropy else None
        for rows in _blocks(logits):
            block = logits[rows].float()
            target = block.gather(1, targets[rows, None]).squeeze(1)
            top = block.amax(dim=1)
            normaliser[rows] = (block - top[:, None]).exp_().sum(dim=1).log_().add_(top)
            logprobs[rows] = target - normaliser[rows]
            is_top[rows] = target >= top
            if entropy is not None:
                shares = (block - normaliser[rows, None]).exp_()
                entropy[rows] = torch.special.entr(shares).sum(dim=1)
        ctx.save_for_backward(hidden, cast_weight, targets, logits, normaliser, entropy)
        ctx.dtypes = weight.dtype, None if bias is None else bias.dtype
        ctx.temperature = temperature
        ctx.mark_non_differentiable(is_top)
        return (logprobs, is_top) if entropy is None else (logprobs, is_top, entropy)

    @staticmethod
    def backward(
        ctx: Any, grad_logprobs: torch.Tensor, _: torch.Tensor, grad_entropy: torch.Tensor | None = None
    ) -> tuple[torch.Tensor | None, ...]:
        """d logprob / d logits = one_hot(target) - p, d entropy / d logits = -p (log p + entropy)."""
        hidden, weight, targets, logits, normaliser, entropy = ctx.saved_tensors
        weight_dtype, bias_dtype = ctx.dtypes
        for rows in _blocks(logits):  # the gradient takes the place of the logits: they are large
            grad = grad_logprobs[rows, None].float() / ctx.temperature
            shares = (logits[rows].float() - normaliser[rows, None]).exp_()
            spread = None
            if grad_entropy is not None:
                spread = torch.special.entr(shares) - shares * entropy[rows, None]
                spread *= grad_entropy[rows, None] / ctx.temperature
            block = shares.mul_(-grad).scatter_add_(1, targets[rows, None], grad)
            logits[rows] = block if spread is None else block.add_(spread)
        return (
            logits @ weight if ctx.needs_input_grad[0] else None,
            (logits.T @ hidden).to(weight_dtype) if ctx.needs_input_grad[1] else None,
            logits.sum(dim=0).to(bias_dtype) if ctx.needs_input_grad[2] else None,
            *(None, None, None, None),
        )


@torch.no_grad()
def logprobs_with_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    targets: torch.Tensor,
    temperature: float = 1.0,
    forbidden: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of `targets` (N,), and the entropy of the distribution each came from. (N,)"""
    _, _, logits = _project(hidden, weight, bias, temperature, forbidden)
    logprobs, entropy = (torch.empty(len(targets), device=hidden.device) for _ in range(2))
    for rows in _blocks(logits):
        block = logits[rows].float().log_softmax(dim=1)
        logprobs[rows] = block.gather(1, targets[rows, None]).squeeze(1)
        entropy[rows] = torch.special.entr(block.exp_()).sum(dim=1)
    return logprobs, entropy


def _project(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    temperature: float,
    forbidden: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hidden states and weight as they are computed with, and the logits (N, V)."""
    dtype = compute_dtype(hidden.dtype, hidden.device)
    hidden, weight = hidden.to(dtype), weight.to(dtype)
    logits = torch.nn.functional.linear(hidden, weight, None if bias is None else bias.to(dtype))
    if temperature != 1:
        logits = logits / temperature
    if forbidden is not None:
        logits.masked_fill_(forbidden, -torch.inf)
    return hidden, weight, logits


def compute_dtype(otherwise: torch.dtype, device: torch.device) -> torch.dtype:
    """What autocast computes in, where it is on."""
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else otherwise


def _blocks(logits: torch.Tensor) -> list[slice]:
    size = max(8, BLOCK // logits.shape[1])
    return [slice(start, start + size) for start in range(0, len(logits), size)]
