"""Whatever people type, control tokens are the template's alone; without any in it, nothing changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from align.chat.encoding import prompt_ids
from align.data.errors import DataError
from align.models.rendering import render_prompt
from align.models.spec import TokenizerSpec
from align.models.templates import TEMPLATES
from align.models.tokenizer import build_tokenizer

TEXTS = ["User: what of it?", "Assistant: it is so", "im_end | endoftext <> start"]
BUILT = {
    name: build_tokenizer(TokenizerSpec(vocab_size=340, chat_template=name), TEXTS) for name in TEMPLATES
}
SPECIAL = sorted({token for tokenizer in BUILT.values() for token in tokenizer.all_special_tokens})
PIECES = st.lists(st.one_of(st.text(max_size=5), st.sampled_from(SPECIAL)), max_size=5).map("".join)


def turns(*texts: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[place % 2], "content": text} for place, text in enumerate(texts)]


def special(tokenizer, ids: list[int]) -> list[int]:
    return [token for token in ids if token in tokenizer.all_special_ids]


@pytest.mark.parametrize("name", TEMPLATES)
@given(st.lists(PIECES, min_size=1, max_size=3))
def test_typed_text_adds_no_control_token(name: str, texts: list[str]) -> None:
    tokenizer = BUILT[name]
    plain = prompt_ids(tokenizer, turns(*("x" for _ in texts)))
    assert special(tokenizer, prompt_ids(tokenizer, turns(*texts))) == special(tokenizer, plain)


@pytest.mark.parametrize("name", TEMPLATES)
def test_without_control_tokens_it_is_what_training_sees(name: str) -> None:
    tokenizer, asked = BUILT[name], turns("What of it?", "It is so.", "한국어도 괜찮아요")
    expected = tokenizer(render_prompt(tokenizer, asked), add_special_tokens=False)["input_ids"]
    assert prompt_ids(tokenizer, asked) == expected


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_control_token_stays_readable(name: str) -> None:
    tokenizer = BUILT[name]
    for token in tokenizer.all_special_tokens:
        ids = prompt_ids(tokenizer, turns(f"a {token} b"))
        assert f"a {token} b" in tokenizer.decode(ids)


def test_a_template_that_loses_what_was_typed_is_told() -> None:
    tokenizer = build_tokenizer(TokenizerSpec(vocab_size=340), TEXTS)
    tokenizer.chat_template = "{{ messages[-1]['content'] }}"
    with pytest.raises(DataError, match="leaves out or repeats"):
        prompt_ids(tokenizer, turns(f"a {tokenizer.eos_token}", "b", "c"))
