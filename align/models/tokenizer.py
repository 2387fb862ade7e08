"""Tokenizers: a folder, a Hub id, or a corpus -> a tokenizer that speaks a template and knows its EOS.

Reads   tokenizer files, or texts
Writes  nothing; `prepare` makes a model's embeddings and generation config fit the tokenizer
Source  Sennrich et al. 2016, arXiv:1508.07909 (byte-pair encoding)
"""

from collections.abc import Iterable
from typing import cast

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TokenizersBackend,
)

from align.models.sharding import whole
from align.models.spec import ModelSpec, TemplateName, TokenizerSpec
from align.models.templates import END_OF_TEXT, PAD_TOKEN, SPECIAL_TOKENS, TEMPLATES

# Tokens that published vocabularies set aside for padding, or that nothing trains on.
_KNOWN_PAD_TOKENS = (PAD_TOKEN, "<pad>", "[PAD]", "<|finetune_right_pad_id|>", END_OF_TEXT)


def load_tokenizer(
    path: str,
    revision: str | None = None,
    chat_template: TemplateName | None = None,
    trust_remote_code: bool = False,
) -> PreTrainedTokenizerBase:
    """Load a tokenizer with padding on the right (the side for training) and a pad token that is not EOS.

    `chat_template` replaces the tokenizer's own template; its end-of-turn token becomes EOS. Tokens that had
    to be added are listed in the attribute `fresh_token_ids`: `prepare` gives them embeddings.

    Raises:
        ValueError: the tokenizer has no fast implementation, or no EOS token and no template that brings one.
    """
    tokenizer = AutoTokenizer.from_pretrained(path, revision=revision, trust_remote_code=trust_remote_code)
    if not tokenizer.is_fast:
        raise ValueError(f"{path}: only fast tokenizers are supported; convert it with transformers first")
    known = set(tokenizer.get_vocab())
    tokenizer.padding_side = "right"
    if chat_template is not None:
        adopt_template(tokenizer, chat_template)
    if tokenizer.eos_token_id is None:
        raise ValueError(f"{path}: the tokenizer has no EOS token; choose a chat_template that brings one")
    _choose_pad_token(tokenizer)
    added = set(tokenizer.get_vocab()) - known
    tokenizer.fresh_token_ids = sorted(tokenizer.convert_tokens_to_ids(token) for token in added)
    return tokenizer


def load_model_tokenizer(path: str, spec: ModelSpec) -> PreTrainedTokenizerBase:
    """`load_tokenizer` with what a model's specification says; `path` is where its weights lie."""
    return load_tokenizer(path, spec.revision, spec.chat_template, spec.trust_remote_code)


def control_tokens_of(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Every token that text must not spell; a former EOS too, which the tokenizer still reads as one."""
    added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    return list(dict.fromkeys([*tokenizer.all_special_tokens, *added]))


def adopt_template(tokenizer: PreTrainedTokenizerBase, name: TemplateName) -> None:
    """Give a tokenizer one of our templates, the control tokens it writes, and its end of turn as EOS."""
    template = TEMPLATES[name]
    tokenizer.chat_template = template.source
    missing = [token for token in template.special_tokens if token not in tokenizer.get_vocab()]
    tokenizer.add_special_tokens({"additional_special_tokens": missing}, replace_extra_special_tokens=False)
    if template.end_of_turn:
        tokenizer.eos_token = template.end_of_turn


def _choose_pad_token(tokenizer: PreTrainedTokenizerBase) -> None:
    """A token of its own where one can be had: careless code masks EOS out of the loss with the padding."""
    if tokenizer.pad_token is not None and tokenizer.pad_token != tokenizer.eos_token:
        return
    vocabulary = tokenizer.get_vocab()
    candidates = (*_KNOWN_PAD_TOKENS, tokenizer.unk_token)
    for token in candidates:
        if token is not None and token in vocabulary and token != tokenizer.eos_token:
            tokenizer.pad_token = token
            return
    tokenizer.add_special_tokens({"pad_token": PAD_TOKEN})


def build_tokenizer(spec: TokenizerSpec, texts: Iterable[str]) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE tokenizer; the control tokens of every template are part of `spec.vocab_size`.

    Raises:
        ValueError: `spec.vocab_size` leaves no room for the 256 bytes and the control tokens.
    """
    special = [*SPECIAL_TOKENS, *spec.extra_special_tokens]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if spec.vocab_size < len(special) + len(alphabet):
        raise ValueError(
            f"vocab_size {spec.vocab_size} is below {len(special) + len(alphabet)} bytes and control tokens"
        )
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=spec.vocab_size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    model.train_from_iterator(texts, trainer)
    tokenizer = TokenizersBackend(
        tokenizer_object=model,
        eos_token=END_OF_TEXT,
        pad_token=PAD_TOKEN,
        extra_special_tokens=special[2:],
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )
    adopt_template(tokenizer, spec.chat_template)
    tokenizer.fresh_token_ids = []
    return tokenizer


def prepare(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Make a model fit its tokenizer: embedding rows for fresh tokens, pad and EOS ids, generation config.

    A fresh token starts at the mean of the rows that were there, in the input and the output embedding.
    Generation stops at the template's end of turn and at every EOS the model already knew.
    """
    fresh = list(getattr(tokenizer, "fresh_token_ids", []))
    weight = cast(torch.Tensor, model.get_input_embeddings().weight)
    rows = getattr(weight, "ds_shape", weight.shape)[0]  # ZeRO-3 shards weights as they load
    if len(tokenizer) > rows:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        fresh = sorted({*fresh, *range(rows, len(tokenizer))})
    if fresh:
        _initialise_at_mean(model, fresh)
    text_config = model.config.get_text_config()
    if model.can_generate():
        known = (text_config.eos_token_id, model.generation_config.eos_token_id)
        model.generation_config = GenerationConfig(
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=end_token_ids(tokenizer, *known),
            pad_token_id=tokenizer.pad_token_id,
        )
    text_config.pad_token_id = tokenizer.pad_token_id
    text_config.bos_token_id = tokenizer.bos_token_id
    text_config.eos_token_id = tokenizer.eos_token_id


def end_token_ids(tokenizer: PreTrainedTokenizerBase, *known: int | list[int] | None) -> list[int]:
    """The tokenizer's EOS first, then every other id in `known` that means the end, each once."""
    ids = [tokenizer.eos_token_id]
    for entry in known:
        ids.extend(entry if isinstance(entry, list) else [] if entry is None else [entry])
    return list(dict.fromkeys(ids))


@torch.no_grad()
def _initialise_at_mean(model: PreTrainedModel, token_ids: list[int]) -> None:
    embeddings = [model.get_input_embeddings(), model.get_output_embeddings()]
    weights = {id(layer.weight): layer.weight for layer in embeddings if layer is not None}
    with whole(list(weights.values())):
        for weight in weights.values():
            settled = torch.ones(weight.shape[0], dtype=torch.bool)
            settled[token_ids] = False
            weight[token_ids] = weight[settled].mean(dim=0)
