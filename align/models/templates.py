"""Chat templates for base models that have none: name -> Jinja source, control tokens, end of turn.

Each one is prefix-preserving (what is rendered for a prompt is a prefix of what is rendered for prompt and
completion) and closes every assistant turn with a token that is EOS. Torch-free.
Source  ChatML: OpenAI; Llama 3: Grattafiori et al. 2024, arXiv:2407.21783; Gemma: Gemma Team 2024,
arXiv:2403.08295.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from align.models.spec import TemplateName

PAD_TOKEN = "<|pad|>"
END_OF_TEXT = "<|endoftext|>"


@dataclass(frozen=True)
class Template:
    """A Jinja chat template, the control tokens it writes, and the one that ends an assistant turn.

    `end_of_turn: None` means the tokenizer's own EOS closes the turn.
    """

    source: str
    special_tokens: tuple[str, ...] = ()
    end_of_turn: str | None = None


_CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

_LLAMA3 = (
    "{{ bos_token or '' }}"
    "{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' "
    "+ message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)

# Gemma knows no system role: its text opens the first user turn.
_GEMMA = (
    "{{ bos_token or '' }}"
    "{% set ns = namespace(preamble='') %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{% set ns.preamble = message['content'] | trim + '\\n\\n' %}"
    "{% else %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' "
    "+ ns.preamble + message['content'] | trim + '<end_of_turn>\\n' }}"
    "{% set ns.preamble = '' %}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)

# Turns are joined by a newline instead of ended by one, so that a finished answer ends with EOS.
_PLAIN = (
    "{% for message in messages %}"
    "{{ '' if loop.first else '\\n' }}"
    "{{ message['role'] | capitalize + ': ' + message['content'] | trim }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\nAssistant:' }}{% endif %}"
)

TEMPLATES: Mapping[TemplateName, Template] = {
    "chatml": Template(_CHATML, ("<|im_start|>", "<|im_end|>"), "<|im_end|>"),
    "llama3": Template(_LLAMA3, ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), "<|eot_id|>"),
    "gemma": Template(_GEMMA, ("<start_of_turn>", "<end_of_turn>"), "<end_of_turn>"),
    "plain": Template(_PLAIN),
}

# What a tokenizer of ours sets aside, in the order of the ids: end of text, padding, every template's own.
SPECIAL_TOKENS: tuple[str, ...] = (
    END_OF_TEXT,
    PAD_TOKEN,
    *(token for template in TEMPLATES.values() for token in template.special_tokens),
)
