"""Scoring: hidden states -> log-probabilities of the tokens that are trained on, and of no others.

TRL scores every position, prompts and padding included, wherever there is no GPU, and projects through the
LM head again in the backward pass. Here only labelled positions are projected, once. A causal model whose
padding is on the right needs no padding mask either: no real token sees what comes after it.
"""

import functools
from types import MethodType
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutputWithPast
from trl.trainer.utils import FusedCausalLMOutput

from align.models.logprobs import SelectedLogprobs, compute_dtype
from align.training.sharing import can_share, share, sharing_pays
from align.training.token_columns import IGNORED

# What a config calls a change of the logits between projection and softmax; such models keep TRL's own head.
_LOGIT_CHANGES = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
    "output_router_logits",
)


def score_selected(model: PreTrainedModel, *, is_paired: bool) -> bool:
    """Replace the head that TRL attached to a causal model, where a plain projection is all it has to do.

    `is_paired` says that batches hold chosen rows and then rejected ones. Entropy and mean logits are left
    unmeasured (zero). Returns whether the head was replaced.
    """
    text_config = model.config.get_text_config()
    if any(getattr(text_config, name, None) for name in _LOGIT_CHANGES) or not _is_causal(model):
        return False
    attached = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: PreTrainedModel, *args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
        if not fused_lm_head or "shift_labels" in kwargs:
            return attached(*args, fused_lm_head=fused_lm_head, **kwargs)
        labels = kwargs.pop("labels")[:, 1:]
        items = kwargs.pop("num_items_in_batch", None)
        hidden, places = _read(self, is_paired, **kwargs)
        mask = labels != IGNORED
        scores, is_top = _scored(self.get_output_embeddings(), hidden[places[:, :-1][mask]], labels[mask])
        logprobs = scores.new_zeros(mask.shape).masked_scatter(mask, scores)
        unmeasured = torch.zeros_like(logprobs, requires_grad=False)
        return FusedCausalLMOutput(
            loss=-logprobs.sum() / (mask.sum().clamp(min=1) if items is None else items),
            log_probs=logprobs,
            entropy=unmeasured,
            mean_logits=unmeasured,
            is_top1=torch.zeros_like(mask).masked_scatter(mask, is_top),
            label_mask=mask,
        )

    model.forward = MethodType(forward, model)
    return True


def score_last(model: PreTrainedModel) -> None:
    """Let a reward model read pairs (chosen rows, then rejected ones) and score each row's last token."""
    if not _is_causal(model):
        return

    @functools.wraps(type(model).forward)
    def forward(self: Any, attention_mask: torch.Tensor, **kwargs: Any) -> Any:
        hidden, places = _read(self, True, attention_mask=attention_mask, **kwargs)
        last = places.gather(1, attention_mask.sum(dim=1, keepdim=True) - 1).squeeze(1)
        return SequenceClassifierOutputWithPast(logits=self.score(hidden[last]))

    model.forward = MethodType(forward, model)


def _read(
    model: PreTrainedModel,
    is_paired: bool,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states (M, H), and for every token of `input_ids` the place of its own among them. (N, T)"""
    if is_paired and can_share(model):
        pairs = share(input_ids, attention_mask.sum(dim=1), compute_dtype(model.dtype, input_ids.device))
        if sharing_pays(
            pairs.input_ids.shape[1], input_ids.shape[1], model.config.get_text_config().hidden_size
        ):
            inputs = {"position_ids": pairs.position_ids, "attention_mask": pairs.attention_mask}
            hidden = model.base_model(
                pairs.input_ids, **{**kwargs, **inputs, "use_cache": False}
            ).last_hidden_state
            return hidden.flatten(0, 1), pairs.places
    hidden = model.base_model(input_ids, **{**kwargs, "use_cache": False}).last_hidden_state
    return hidden.flatten(0, 1), torch.arange(input_ids.numel(), device=input_ids.device).view_as(input_ids)


def _scored(
    head: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of `targets` (N,) given `hidden` (N, H), and whether each is the most likely. (N,)"""
    if type(head) is torch.nn.Linear:
        scores: tuple[torch.Tensor, torch.Tensor] = SelectedLogprobs.apply(
            hidden, head.weight, head.bias, targets
        )
        return scores
    # An adapter has wrapped the head: its weight alone is not what it computes.
    logits = head(hidden).float()
    return logits.log_softmax(dim=1).gather(1, targets[:, None]).squeeze(1), logits.argmax(dim=1) == targets


def _is_causal(model: PreTrainedModel) -> bool:
    attention = [module.is_causal for module in model.modules() if hasattr(module, "is_causal")]
    return bool(attention) and all(attention)
