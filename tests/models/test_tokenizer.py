"""Tokenizers built from text or loaded with a template, padded with a token of their own; models to fit."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedModel, TokenizersBackend

from align.models.spec import TokenizerSpec
from align.models.templates import END_OF_TEXT, PAD_TOKEN, TEMPLATES
from align.models.tokenizer import build_tokenizer, load_tokenizer, prepare


def foreign(folder: Path, tokens: tuple[str, ...], **special: str) -> str:
    """A tokenizer of somebody else's, word by word, with these tokens and roles."""
    vocabulary = {token: place for place, token in enumerate(("hello", "there", *tokens))}
    model = Tokenizer(models.WordLevel(vocabulary, unk_token=special.get("unk_token", "hello")))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    TokenizersBackend(tokenizer_object=model, **special).save_pretrained(folder)
    return str(folder)


def llama(rows: int, tied: bool = True) -> PreTrainedModel:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=rows,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            tie_word_embeddings=tied,
            eos_token_id=1,
        )
    )


@pytest.mark.parametrize(
    "tokens, special, expected",
    [
        (("</s>", "[MINE]"), {"eos_token": "</s>", "pad_token": "[MINE]"}, "[MINE]"),
        (("</s>", "<pad>"), {"eos_token": "</s>", "pad_token": "</s>"}, "<pad>"),
        (("</s>", "<|finetune_right_pad_id|>"), {"eos_token": "</s>"}, "<|finetune_right_pad_id|>"),
        (("</s>", "<unk>"), {"eos_token": "</s>", "unk_token": "<unk>"}, "<unk>"),
        (("</s>",), {"eos_token": "</s>"}, PAD_TOKEN),
        ((END_OF_TEXT,), {"eos_token": END_OF_TEXT, "pad_token": END_OF_TEXT}, PAD_TOKEN),
    ],
)
def test_padding_is_never_the_end(
    tmp_path: Path, tokens: tuple[str, ...], special: dict[str, str], expected: str
) -> None:
    """trl#5303: with EOS as padding reward and value models did not see the end."""
    tokenizer = load_tokenizer(foreign(tmp_path, tokens, **special))

    assert tokenizer.pad_token == expected != tokenizer.eos_token
    assert tokenizer.padding_side == "right"
    assert tokenizer.fresh_token_ids == ([len(tokens) + 2] if expected not in tokens else [])


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_brings_its_tokens_and_its_end(tmp_path: Path, name: str) -> None:
    tokenizer = load_tokenizer(foreign(tmp_path, ("</s>",), eos_token="</s>"), chat_template=name)
    template = TEMPLATES[name]

    assert tokenizer.eos_token == (template.end_of_turn or "</s>")
    assert set(template.special_tokens) <= set(tokenizer.get_vocab())
    assert len(tokenizer.fresh_token_ids) == len(template.special_tokens) + 1  # and padding
    tokenizer.save_pretrained(tmp_path / "again")
    again = load_tokenizer(str(tmp_path / "again"))
    assert (again.eos_token, again.pad_token) == (tokenizer.eos_token, tokenizer.pad_token)
    assert again.chat_template == template.source and again.fresh_token_ids == []


def test_no_end_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no EOS token; choose a chat_template"):
        load_tokenizer(foreign(tmp_path, ("x",)))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("spare", [0, 10])
def test_fresh_tokens_start_at_the_mean(tmp_path: Path, tied: bool, spare: int) -> None:
    tokenizer = load_tokenizer(foreign(tmp_path, ("</s>",), eos_token="</s>"), chat_template="chatml")
    model = llama(rows=3 + spare, tied=tied)
    fresh = tokenizer.fresh_token_ids
    known = [row for row in range(3 + spare) if row not in fresh]
    before = [
        layer.weight[known].detach().clone()
        for layer in (model.get_input_embeddings(), model.get_output_embeddings())
    ]
    prepare(model, tokenizer)
    after = [model.get_input_embeddings().weight, model.get_output_embeddings().weight]

    assert fresh == [3, 4, 5]
    assert model.config.vocab_size == max(6, 3 + spare)
    for old, new in zip(before, after, strict=True):
        assert torch.equal(new[known], old)
        torch.testing.assert_close(new[fresh], old.mean(dim=0).expand(3, -1))


def test_generation_stops_at_every_end_there_is(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(
        foreign(tmp_path, ("</s>", "<eos2>"), eos_token="</s>"), chat_template="chatml"
    )
    model = llama(rows=len(tokenizer))
    model.generation_config = GenerationConfig(eos_token_id=[2, 3], temperature=0.3, do_sample=True)
    prepare(model, tokenizer)

    assert model.generation_config.eos_token_id == [tokenizer.convert_tokens_to_ids("<|im_end|>"), 1, 2, 3]
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id == model.config.pad_token_id
    assert not model.generation_config.do_sample


def test_byte_level_text_comes_back(texts: list[str]) -> None:
    spec = TokenizerSpec(vocab_size=320, extra_special_tokens=("<think>",))
    tokenizer = build_tokenizer(spec, texts)

    for text in ("무엇입니까? 🙂\n\ttab", "the fox", "<think>"):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    assert len(tokenizer) <= 320
    assert len(tokenizer("<think>", add_special_tokens=False)["input_ids"]) == 1
    assert build_tokenizer(spec, texts).get_vocab() == tokenizer.get_vocab()


def test_a_vocabulary_below_the_bytes_is_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match="vocab_size 256 is below 26"):
        build_tokenizer(TokenizerSpec(vocab_size=256), texts)
