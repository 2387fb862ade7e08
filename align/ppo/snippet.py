"""Snippet: a trained policy -> a few lines that ask what was saved, and what it answers in this process.

Writes  ask.py
"""

import sys

from align.artifacts.store import ArtifactDir
from align.data.records import Prompt
from align.generation.sampler import TransformersSampler

SCRIPT = """\
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

folder = Path(__file__).parent / "model"
tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
conversation = {conversation!r}
prompt = tokenizer.apply_chat_template(
    conversation, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
answer = model.generate(**prompt, do_sample=False, temperature=None, max_new_tokens={max_new_tokens})
print(tokenizer.decode(answer[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True).strip())
# When it was saved: {text!r}
"""


def write_snippet(output: ArtifactDir, greedy: TransformersSampler, prompt: Prompt, most: int) -> None:
    """Write and print the script for one prompt; its answers have at most `most` tokens."""
    (answer,) = greedy.complete([prompt.messages])
    conversation = [message.as_dict() for message in prompt.messages]
    script = SCRIPT.format(conversation=conversation, max_new_tokens=most, text=answer.text)
    (output.path / "ask.py").write_text(script, encoding="utf-8")
    sys.stdout.write(f"To ask the policy (ask.py):\n\n{script}\n")
