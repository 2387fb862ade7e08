"""Templates render prompts as prefixes and close every answer with EOS; nothing follows the last one."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from align.models.rendering import render, render_prompt
from align.models.templates import SPECIAL_TOKENS, TEMPLATES
from align.models.tokenizer import load_tokenizer

PROMPT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " What\n\nof it? "},
    {"role": "assistant", "content": "It is so."},
    {"role": "user", "content": "Is it?"},
]
ANSWER = {"role": "assistant", "content": "(yes) 그렇다"}

EXPECTED = {
    "chatml": (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n What\n\nof it? <|im_end|>\n"
        "<|im_start|>assistant\nIt is so.<|im_end|>\n<|im_start|>user\nIs it?<|im_end|>\n"
        "<|im_start|>assistant\n(yes) 그렇다<|im_end|>"
    ),
    "llama3": (
        "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhat\n\nof it?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nIt is so.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nIs it?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n(yes) 그렇다<|eot_id|>"
    ),
    "gemma": (
        "<start_of_turn>user\nBe brief.\n\nWhat\n\nof it?<end_of_turn>\n"
        "<start_of_turn>model\nIt is so.<end_of_turn>\n<start_of_turn>user\nIs it?<end_of_turn>\n"
        "<start_of_turn>model\n(yes) 그렇다<end_of_turn>"
    ),
    "plain": (
        "System: Be brief.\nUser: What\n\nof it?\nAssistant: It is so.<|endoftext|>\nUser: Is it?\n"
        "Assistant: (yes) 그렇다<|endoftext|>"
    ),
}


@pytest.fixture(params=TEMPLATES)
def speaking(request: pytest.FixtureRequest, tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(tiny_model), chat_template=request.param)


@pytest.mark.parametrize("name", TEMPLATES)
def test_rendering(name: str, tiny_model: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model), chat_template=name)
    assert render(tokenizer, [*PROMPT, ANSWER]) == EXPECTED[name]


def test_a_prompt_is_a_prefix_in_text_and_in_tokens(speaking: PreTrainedTokenizerBase) -> None:
    prompt, whole = render_prompt(speaking, PROMPT), render(speaking, [*PROMPT, ANSWER])
    prompt_ids, whole_ids = speaking([prompt, whole], add_special_tokens=False)["input_ids"]

    assert whole.startswith(prompt)
    assert whole_ids[: len(prompt_ids)] == prompt_ids
    assert whole_ids[-1] == speaking.eos_token_id


def test_control_tokens_are_one_token_each(speaking: PreTrainedTokenizerBase) -> None:
    for token in SPECIAL_TOKENS:
        assert speaking(token, add_special_tokens=False)["input_ids"] == [
            speaking.convert_tokens_to_ids(token)
        ]
