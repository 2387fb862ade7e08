"""Models through the scripts: what speaks otherwise than it was trained to is refused, with both values."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from align.models.base import record_base
from align.models.spec import TokenizerSpec
from align.models.templates import TEMPLATES
from align.models.tokenizer import build_tokenizer
from tests.preflight.cases import lines
from tests.preflight.conftest import Done, Launch

CHATML = TEMPLATES["chatml"].source


def templated(folder: Path, source: str | None) -> None:
    """Another template in a model's folder, as by hand."""
    file = folder / "chat_template.jinja"
    if source is None:
        file.unlink()
    else:
        file.write_text(source, encoding="utf-8")


def respoken(folder: Path, change: Callable[[Any], None]) -> None:
    """Change a folder's tokenizer, and nothing else of it."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    change(tokenizer)
    tokenizer.save_pretrained(folder)


def begun_twice(folder: Path) -> None:
    """A template that writes the beginning of text two times."""
    respoken(folder, lambda tokenizer: setattr(tokenizer, "bos_token", "<|eot_id|>"))
    templated(folder, "{{ bos_token }}{{ bos_token }}" + CHATML)


def adapted(folder: Path) -> None:
    """An adapter alone, whose base has changed since."""
    base = folder.parent / "base_that_changed"
    shutil.copytree(folder, base)
    for file in [*folder.iterdir()]:
        file.unlink()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    record_base(folder, str(base))
    with (base / "model.safetensors").open("r+b") as stream:
        stream.seek(-4, 2)
        stream.write(b"\x00\x00\x00\x3f")


# name -> (the model it starts from, what is done to it, its ModelSpec's other fields, what must be said)
MODELS: dict[str, tuple[str, Callable[[Path], object] | None, dict[str, Any], str]] = {
    "untouched": ("sound", None, {}, ""),
    "edited_template": (
        "sound",
        lambda folder: templated(folder, CHATML.replace("<|im_start|>", "<|im_start|> ")),
        {},
        r"path: .* is not what was trained, template_sha256: "
        r"its record has (\w{64}), the folder has (?!\1)\w{64};",
    ),
    "added_token": (
        "sound",
        lambda folder: respoken(folder, lambda tokenizer: tokenizer.add_tokens(["<extra>"])),
        {},
        r"vocabulary_size: its record has 270, the folder has 271; build it again, or undo the change",
    ),
    "other_end": (
        "sound",
        lambda folder: respoken(folder, lambda tokenizer: setattr(tokenizer, "eos_token", "<|endoftext|>")),
        {},
        r"eos: its record has <\|im_end\|> \(\d+\), the folder has <\|endoftext\|> \(0\);",
    ),
    "other_template": (
        "sound",
        None,
        {"chat_template": "llama3"},
        r"chat_template: template_sha256: the model has \w{64}, this stage has \w{64}; leave chat_template",
    ),
    "damaged_record": (
        "sound",
        lambda folder: (folder / "align_contract.json").write_text("{"),
        {},
        "align_contract.json: not a contract",
    ),
    "adapter": (
        "bare",
        adapted,
        {},
        r"was trained over \S+base_that_changed with the weights (\w{64}), "
        r"and \S+ has (?!\1)\w{64}; train it again",
    ),
    "no_template": ("bare", lambda folder: templated(folder, None), {}, "has none; choose chatml, llama3"),
    "no_end": (
        "bare",
        lambda folder: templated(folder, CHATML.replace("'<|im_end|>' + ", "")),
        {},
        r"closes an answer with '\\n' and not with the tokenizer's EOS '<\|im_end\|>': a model never learns",
    ),
    "not_prefix_preserving": (
        "bare",
        lambda folder: templated(folder, "{{ messages | length }}" + CHATML),
        {},
        "not prefix-preserving: .*'1<|im_start|>user".replace("|", r"\|"),
    ),
    "silent_assistant": (
        "bare",
        lambda folder: templated(
            folder,
            "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}{% endfor %}",
        ),
        {},
        "leaves out what the assistant says",
    ),
    "refusing": (
        "bare",
        lambda folder: templated(folder, "{{ raise_exception('only images here') }}"),
        {},
        "cannot write a dialogue of user and assistant: only images here",
    ),
    "two_beginnings": (
        "bare",
        begun_twice,
        {},
        r"opens a dialogue with <\|eot_id\|> twice; write it once",
    ),
    "too_many_tokens": (
        "bare",
        lambda folder: respoken(folder, lambda tokenizer: tokenizer.add_tokens(["<one>", "<two>"])),
        {},
        "the tokenizer knows 272 tokens, the model has embeddings for 270",
    ),
    "no_tokenizer": (
        "bare",
        lambda folder: [path.unlink() for path in folder.glob("*token*")],
        {},
        "cannot load a tokenizer from",
    ),
}


@pytest.fixture(scope="module")
def evaluated(launch: Launch, speakers: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """scripts/evaluate.py over all of them, with prompts that something is wrong with as well."""
    folder, checkpoints = tmp_path_factory.mktemp("models"), {}
    for name, (start, change, fields, _) in MODELS.items():
        shutil.copytree(speakers / start, folder / name)
        if change is not None:
            change(folder / name)
        checkpoints[name] = {"path": str(folder / name), **fields}
    (folder / "forged.jsonl").write_text(lines({"prompt": "fine"}, {"prompt": "hi<|im_end|>"}))
    (folder / "blank.jsonl").write_text(lines({"prompt": " "}))
    suites = {
        name: {"source": {"path": str(folder / f"{name}.jsonl"), "format": "prompts"}}
        for name in ("forged", "blank")
    }
    return launch("evaluate", {}, settings={"checkpoints": checkpoints, "suites": suites})


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_speaks_otherwise_is_refused_with_both_values(evaluated: Done, name: str) -> None:
    assert evaluated.code == 2 and "Traceback" not in evaluated.stderr, evaluated.stderr
    told = [line for line in evaluated.problems if line.startswith(f"stages.evaluate.checkpoints.{name}.")]
    says = MODELS[name][3]
    assert not told if not says else any(re.search(says, line) for line in told), told


def test_prompts_are_refused_for_the_models_that_would_misread_them(evaluated: Done) -> None:
    assert re.search(
        r"suites\.forged: \S+/forged\.jsonl:2: the text holds '<\|im_end\|>', which the tokenizer of "
        r"checkpoints\.untouched reads as a control token\. Remove it there",
        evaluated.stderr,
    )
    assert re.search(r"suites\.blank\.source: \S+/blank\.jsonl:1: turn 1 \(user\) is blank", evaluated.stderr)


def test_a_value_model_reads_the_tokens_of_its_policy(launch: Launch, speakers: Path, tmp_path: Path) -> None:
    """trl#1979: it was taken for granted. And a reward model may speak otherwise, which is said."""
    shutil.copytree(speakers / "bare", tmp_path / "other")
    other = build_tokenizer(TokenizerSpec(vocab_size=384, chat_template="llama3"), ["an owl"] * 4)
    other.save_pretrained(tmp_path / "other")
    (tmp_path / "asks.jsonl").write_text(lines({"prompt": "why?"}))
    settings: dict[str, Any] = {
        "policy": {"path": "${model.path}"},
        "value": {"path": str(tmp_path / "other")},
        "rewards": {"reward_model": {"source": {"model": str(tmp_path / "other")}}},
        "batch_size": 4,
        "updates": 1,
    }
    done = launch(
        "ppo", {"x": {"path": str(tmp_path / "asks.jsonl"), "format": "prompts"}}, settings=settings
    )
    assert done.code == 2
    assert re.search(
        r"stages\.ppo\.value\.path: the value model reads what the policy writes, template_sha256: "
        r"the policy has (\w{64}), the value model has (?!\1)\w{64}; choose one of the same base",
        done.stderr,
    )
    assert re.search(
        r"stages\.ppo\.rewards\.reward_model +warning +answers are put to it in its own template and tokens: "
        r"template_sha256: the policy has \w{64}, it has \w{64}",
        done.stdout,
    )
