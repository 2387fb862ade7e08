"""Check: what would stop PPO in its data and its tokenizers, found without weights, as `field: problem`."""

from types import UnionType

from align.data.card import card_problems
from align.data.errors import DataError
from align.data.records import Conversation, Prompt, Row, RowError, Text
from align.data.source import Rows, load_rows
from align.data.spec import DataSpec
from align.ppo.prompts import fitting, longest_prompt
from align.ppo.spec import PpoSpec
from align.runtime.speaker import Speaker, speaker_of
from align.runtime.stage_io import StageIO


def data_problems(spec: PpoSpec, io: StageIO) -> list[str]:
    """Everything can be read and said to the policy; what does not stop the stage is told to `io`."""
    speaker, problems = speaker_of("policy", spec.policy, io)
    if spec.value is not None:
        problems += speaker_of("value", spec.value, io)[1]
    prompts = _read("data", spec.data, Prompt, speaker, io, problems)
    if spec.ptx is not None:
        _read("ptx.data", spec.ptx.data, Conversation | Text, speaker, io, problems)
    if problems or prompts is None or speaker is None or not speaker.is_final:
        return problems
    try:
        longest = longest_prompt(spec, speaker.context)
        fit = fitting(prompts.train, speaker.tokenizer, longest, spec.data.screening)
    except DataError as problem:
        return str(problem).splitlines()
    io.findings.extend(("data", finding) for finding in fit.findings)
    return []


def _read(
    field: str,
    data: DataSpec,
    row_type: type[Row] | UnionType,
    speaker: Speaker | None,
    io: StageIO,
    problems: list[str],
) -> Rows | None:
    """The rows of `field`; what keeps them from being used is added to the problems."""
    problems += [f"{field}: {line}" for line in card_problems(data, io.outputs)]
    tokens = speaker.tokenizer.all_special_tokens if speaker else ()
    try:
        rows = load_rows(data, row_type, io.outputs, control_tokens=tokens)
    except (DataError, RowError) as problem:
        problems += [f"{field}: {line}" for line in str(problem).splitlines()]
        return None
    io.findings.extend((field, finding) for finding in rows.report.findings)
    return rows
