"""Check: a training stage, on the CPU and without weights -> what would stop it, as `field: problem`."""

from collections.abc import Callable, Mapping, Sequence

from transformers.utils import is_liger_kernel_available

from align.data.card import card_problems
from align.data.errors import DataError
from align.data.records import Row, RowError, Text
from align.data.screening.findings import Findings
from align.data.source import Rows, load_rows
from align.models.quantization import quantization_problems
from align.models.spec import ModelSpec
from align.models.tokenizer import control_tokens_of
from align.runtime.offload import offload_problems
from align.runtime.speaker import speaker_of
from align.runtime.stage_io import StageIO
from align.training.arguments import build_arguments
from align.training.limit import limit_of
from align.training.spec import TrainingSpec
from align.training.token_cache import sides
from align.training.tokenise import Maker, tokenise

SLICE = 32  # rows that show how a template works, where the vocabulary is still to be learnt


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


def text_problems(stage: TrainingSpec, io: StageIO, control_tokens: Sequence[str]) -> list[str]:
    """Every text can be read, and holds no control token."""
    try:
        _loaded(stage, io, Text, control_tokens)
    except (DataError, RowError) as problem:
        return _lines("data", problem)
    return []


def row_problems(
    stage: TrainingSpec,
    io: StageIO,
    field: str,
    row_type: type[Row],
    maker: Callable[..., Maker],
    config_class: type,
) -> list[str]:
    """All rows can be read and learnt from, with the template and the tokens of the model they are for.

    `field` names the stage's ModelSpec, `maker` is called for what makes its columns. What does not stop the
    stage is told to `io`. Numbers of tokens are looked at only where the tokenizer is there already;
    otherwise the stage itself sees to them.
    """
    spec: ModelSpec = getattr(stage, field)
    speaker, problems = speaker_of(field, spec, io, teaches=field == "model")
    tokens = control_tokens_of(speaker.tokenizer) if speaker else ()
    try:
        rows = _loaded(stage, io, row_type, tokens)
        if speaker is None or problems:
            return problems
        limit = limit_of(stage, config_class, speaker.context) if speaker.is_final else None
        make = maker(speaker.tokenizer, limit, stage.data.screening)
        found = Findings()
        is_final = speaker.is_final
        parts = sides(rows, make, io.outputs) if is_final else {"train": tokenise(rows.train[:SLICE], make)}
        for part in parts.values():
            for finding in part.findings:
                found.add(finding)
    except (DataError, RowError) as problem:
        return [*problems, *_lines("data", problem)]
    io.findings.extend(("data", finding) for finding in found.warnings)
    return [f"data: {finding.error()}" for finding in found.errors]


def _loaded(stage: TrainingSpec, io: StageIO, row_type: type[Row], control_tokens: Sequence[str]) -> Rows:
    rows = load_rows(stage.data, row_type, io.outputs, control_tokens=control_tokens)
    io.findings.extend(("data", finding) for finding in rows.report.findings)
    return rows


def _lines(field: str, problem: Exception) -> list[str]:
    return [f"{field}: {line}" for line in str(problem).splitlines()]
