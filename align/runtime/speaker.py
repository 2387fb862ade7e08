"""Speaker: a model's tokenizer as a stage will have it -> what is wrong with it, found without weights.

Reads   tokenizer, chat template and config.json of a folder or Hub id
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedTokenizerBase

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


def speaker_of(field: str, spec: ModelSpec, io: StageIO) -> tuple[Speaker | None, list[str]]:
    """Who speaks for a model, and the problems of `field`; warnings are told to `io`.

    Of a model that another stage has still to build the tokenizer is made up from that stage.
    """
    path = io.locate(spec.path)
    try:
        speaker = _planned(spec, io) if _is_planned(spec, io) else _built(path, spec)
    except (OSError, ValueError) as problem:
        return None, [f"{field}.path: cannot load a tokenizer from {path}: {problem}"]
    if speaker is None:
        return None, []
    tokenizer = speaker.tokenizer
    if tokenizer.chat_template is None:
        problems = [f"{field}.chat_template: {missing_template(path)}"]
    else:
        problems = [f"{field}.chat_template: {line}" for line in template_problems(tokenizer)]
    if not problems:
        for line in template_warnings(tokenizer):
            io.warn(f"{field}.chat_template", line)
    if speaker.is_final and not _is_planned(spec, io):
        problems += [f"{field}.path: {line}" for line in _vocabulary_problems(path, spec, tokenizer)]
    return speaker, problems


def missing_template(path: str) -> str:
    """The problem of a tokenizer that cannot be spoken to."""
    return f"the tokenizer of {path} has none; choose chatml, llama3, gemma or plain"


def _is_planned(spec: ModelSpec, io: StageIO) -> bool:
    return spec.path.startswith("stage:") and not Path(io.locate(spec.path)).exists()


def _built(path: str, spec: ModelSpec) -> Speaker:
    return Speaker(load_model_tokenizer(path, spec), context_of_config(_config(path, spec)), is_final=True)


def _planned(spec: ModelSpec, io: StageIO) -> Speaker | None:
    """What the chain of stages up to the first that is built, or a base model, makes of the tokenizer."""
    found = io.planned.get(spec.path.removeprefix("stage:"))
    if found is None:
        return None
    stage, place = found
    if hasattr(stage, "architecture"):
        tokenizer, final = build_tokenizer(stage.tokenizer, []), False
        context: int | None = stage.architecture.max_positions
    else:
        parent: ModelSpec = stage.policy if hasattr(stage, "policy") else stage.model
        is_planned = _is_planned(parent, place)
        before = _planned(parent, place) if is_planned else _built(place.locate(parent.path), parent)
        if before is None:
            return None
        tokenizer, final, context = before.tokenizer, before.is_final, before.context
    if spec.chat_template is not None:
        adopt_template(tokenizer, spec.chat_template)
    return Speaker(tokenizer, context, final)


def _vocabulary_problems(path: str, spec: ModelSpec, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Tokens without an embedding, but for those that we have just added and will give one."""
    known = getattr(_config(path, spec).get_text_config(), "vocab_size", None)
    own = len(tokenizer) - len(tokenizer.fresh_token_ids)
    if known is None or own <= known:
        return []
    return [
        f"the tokenizer knows {own} tokens, the model has embeddings for {known}: it is another model's, or "
        "tokens were added to it alone; put the model's own tokenizer there, or resize its embeddings"
    ]


def _config(path: str, spec: ModelSpec) -> Any:
    return AutoConfig.from_pretrained(path, revision=spec.revision, trust_remote_code=spec.trust_remote_code)
