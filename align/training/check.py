"""Check: a training stage, on the CPU and without weights -> what would stop it, as `field: problem`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from transformers.utils import is_liger_kernel_available

from align.data.card import card_problems
from align.data.errors import DataError
from align.data.records import Row, RowError
from align.data.source import load_problems, load_rows
from align.models.quantization import quantization_problems
from align.models.spec import ModelSpec
from align.models.tokenizer import load_model_tokenizer
from align.runtime.offload import offload_problems
from align.runtime.stage_io import StageIO
from align.training.arguments import build_arguments
from align.training.spec import TrainingSpec
from align.training.tokenise import Tokenised

SLICE = 32


def common_problems(
    stage: TrainingSpec, io: StageIO, config_class: type, names: Mapping[str, str]
) -> list[str]:
    """The batch splits, TRL accepts its arguments, the selection's metric exists, the data cards agree.

    `names` maps TRL's names of the trainer's metrics to ours.
    """
    if stage.selection is not None and stage.selection.metric not in names.values():
        return [f"selection.metric: no metric {stage.selection.metric!r}; choose {', '.join(names.values())}"]
    if io.resources.liger and not is_liger_kernel_available():
        return [f"resources.{io.name}.liger: pip install liger-kernel, or leave it off"]
    if found := [
        *offload_problems(io.resources.parallel),
        *quantization_problems(stage.adapter, io.resources.zero_stage),
    ]:
        return found
    try:
        io.split(stage.batch_size)
    except ValueError as problem:
        return [f"batch_size: {problem}"]
    try:
        build_arguments(config_class, stage, io, names)
    except (TypeError, ValueError) as problem:
        return [f"trainer: {problem}"]
    return [f"data: {line}" for line in card_problems(stage.data, io.outputs)]


def data_problems(stage: TrainingSpec, io: StageIO, row_type: type[Row]) -> list[str]:
    """Every row can be read and fits its shape."""
    return load_problems("data", stage.data, row_type, io.outputs)


def row_problems(
    stage: TrainingSpec,
    io: StageIO,
    field: str,
    row_type: type[Row],
    tokenise: Callable[..., Tokenised],
) -> list[str]:
    """All rows can be read; the tokenizer loads, has a template, and turns a slice of them into tokens.

    `field` names the stage's ModelSpec. A model that another stage has still to build is not looked at.
    """
    if found := data_problems(stage, io, row_type):
        return found
    spec: ModelSpec = getattr(stage, field)
    path = io.locate(spec.path)
    if spec.path.startswith("stage:") and not Path(path).exists():
        return []
    try:
        tokenizer = load_model_tokenizer(path, spec)
    except (OSError, ValueError) as problem:
        return [f"{field}.path: cannot load a tokenizer from {path}: {problem}"]
    if tokenizer.chat_template is None:
        return [
            f"{field}.chat_template: the tokenizer of {path} has none; choose chatml, llama3, gemma or plain"
        ]
    try:
        rows = load_rows(
            replace(stage.data, max_rows=SLICE, held_out=0.0),
            row_type,
            io.outputs,
            control_tokens=tokenizer.all_special_tokens,
        )
        tokenise(rows.train, tokenizer, None)
    except (DataError, RowError) as problem:
        return [f"data: {problem}"]
    return []
