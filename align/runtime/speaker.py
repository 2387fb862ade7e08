"""Speaker: a model's tokenizer as a stage will have it -> what is wrong with it, found without weights.

Reads   tokenizer, chat template and config.json of a folder or Hub id
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedTokenizerBase

from align.data.contract import Contract, contract_of, differences, read_contract
from align.models.base import base_problems
from align.models.context import context_of_config
from align.models.spec import ModelSpec
from align.models.speech import template_problems, template_warnings
from align.models.tokenizer import adopt_template, build_tokenizer, load_model_tokenizer
from align.runtime.stage_io import StageIO


@dataclass(frozen=True)
class Speaker:
    """A tokenizer, and the most tokens that its model reads (None where that is not known).

    `is_final` is False where the vocabulary is still to be learnt: control tokens and template are those that
    there will be, numbers of tokens are not.
    """

    tokenizer: PreTrainedTokenizerBase
    context: int | None
    is_final: bool


def speaker_of(
    field: str, spec: ModelSpec, io: StageIO, *, teaches: bool = False
) -> tuple[Speaker | None, list[str]]:
    """Who speaks for a model, and the problems of `field`; warnings are told to `io`.

    Of a model that another stage has still to build the tokenizer is made up from that stage. `teaches` says
    that the stage may give the model another template, because it is what the model learns there.
    """
    path = io.locate(spec.path)
    if problem := _adapter_problem(path):
        return None, [f"{field}.path: {problem}"]
    try:
        speaker = _known(spec, io)
        if speaker is None:
            return None, []
        recorded, spoken = _contracts(speaker, path)
        speaker = _overridden(speaker, spec, path)
    except (OSError, ValueError) as problem:
        return None, [f"{field}.path: cannot load a tokenizer from {path}: {problem}"]
    tokenizer = speaker.tokenizer
    if tokenizer.chat_template is None:
        return speaker, [f"{field}.chat_template: {missing_template(path)}"]
    problems = [
        f"{field}.path: {path} is not what was trained, {line}; build it again, or undo the change"
        for line in differences(recorded, spoken, ("its record", "the folder"))
    ]
    problems += [f"{field}.chat_template: {line}" for line in template_problems(tokenizer)]
    problems += [f"{field}.path: {line}" for line in _vocabulary_problems(speaker, path, spec)]
    if not problems:
        for line in template_warnings(tokenizer):
            io.warn(f"{field}.chat_template", line)
    if recorded is not None and spec.chat_template is not None:
        told = differences(spoken, contract_of(tokenizer), ("the model", "this stage"))
        if teaches:
            for line in told:
                io.warn(f"{field}.chat_template", f"the model is taught to speak otherwise: {line}")
        else:
            problems += [f"{field}.chat_template: {line}; leave chat_template out" for line in told]
    return speaker, problems


def missing_template(path: str) -> str:
    """The problem of a tokenizer that cannot be spoken to."""
    return f"the tokenizer of {path} has none; choose chatml, llama3, gemma or plain"


def _is_planned(spec: ModelSpec, io: StageIO) -> bool:
    return spec.path.startswith("stage:") and not Path(io.locate(spec.path)).exists()


def _known(spec: ModelSpec, io: StageIO) -> Speaker | None:
    """A model's own tokenizer, which the chain of stages that builds it will leave; None: not known here."""
    if not _is_planned(spec, io):
        path = io.locate(spec.path)
        plain = replace(spec, chat_template=None)
        return Speaker(load_model_tokenizer(path, plain), context_of_config(_config(path, spec)), True)
    stage, place = io.planned.get(spec.path.removeprefix("stage:"), (None, io))
    if stage is None:
        return None
    if hasattr(stage, "architecture"):
        return Speaker(build_tokenizer(stage.tokenizer, []), stage.architecture.max_positions, False)
    parent: ModelSpec = stage.policy if hasattr(stage, "policy") else stage.model
    before = _known(parent, place)
    return None if before is None else _overridden(before, parent, place.locate(parent.path))


def _overridden(speaker: Speaker, spec: ModelSpec, path: str) -> Speaker:
    """The tokenizer with the template that a stage asks for."""
    if spec.chat_template is None:
        return speaker
    if Path(path).exists() or not spec.path.startswith("stage:"):
        return replace(speaker, tokenizer=load_model_tokenizer(path, spec))
    adopt_template(speaker.tokenizer, spec.chat_template)
    return speaker


def _contracts(speaker: Speaker, path: str) -> tuple[Contract | None, Contract]:
    """(what is recorded beside the model, or will be; what its tokenizer says)."""
    spoken = contract_of(speaker.tokenizer)
    return (read_contract(Path(path)) if Path(path).is_dir() else None), spoken


def _adapter_problem(path: str) -> str | None:
    """An adapter is no model: it is put over its base, which must be the one that it was trained over."""
    folder = Path(path)
    if not (folder / "adapter_config.json").is_file() or (folder / "config.json").is_file():
        return None
    base = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    if found := base_problems(folder, base):
        return found[0]
    return f"this is an adapter over {base}; name the folder model/ beside it, which has both"


def _vocabulary_problems(speaker: Speaker, path: str, spec: ModelSpec) -> list[str]:
    """Tokens without an embedding, but for those that we have just added and will give one."""
    if not speaker.is_final or (spec.path.startswith("stage:") and not Path(path).exists()):
        return []
    known = getattr(_config(path, spec).get_text_config(), "vocab_size", None)
    own = len(speaker.tokenizer) - len(speaker.tokenizer.fresh_token_ids)
    if known is None or own <= known:
        return []
    return [
        f"the tokenizer knows {own} tokens, the model has embeddings for {known}: it is another model's, or "
        "tokens were added to it alone; put the model's own tokenizer there, or resize its embeddings"
    ]


def _config(path: str, spec: ModelSpec) -> Any:
    return AutoConfig.from_pretrained(path, revision=spec.revision, trust_remote_code=spec.trust_remote_code)
