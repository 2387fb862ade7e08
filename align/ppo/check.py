"""Check: what would stop PPO in its data and its tokenizers, found without weights, as `field: problem`."""

from collections.abc import Iterator
from dataclasses import replace
from types import UnionType

from align.data.card import card_problems
from align.data.contract import contract_of, differences
from align.data.errors import DataError
from align.data.records import Conversation, Prompt, Row, RowError, Text
from align.data.source import Rows, load_rows
from align.data.spec import DataSpec
from align.models.base import base_problems
from align.models.shared_base import adapter_over
from align.models.spec import ModelSpec
from align.models.tokenizer import control_tokens_of
from align.ppo.prompts import fitting, longest_prompt
from align.ppo.spec import PpoSpec
from align.rewards.composed import leaves
from align.rewards.function import as_source
from align.runtime.speaker import Speaker, speaker_of
from align.runtime.stage_io import StageIO


def data_problems(spec: PpoSpec, io: StageIO) -> list[str]:
    """Everything can be read and said to the policy; what does not stop the stage is told to `io`."""
    speaker, problems = speaker_of("policy", spec.policy, io)
    readers = [speaker]
    if spec.value is not None:
        value, found = speaker_of("value", spec.value, io)
        readers.append(value)
        problems += found or _unlike(speaker, value)
    if spec.adapter is not None:
        problems += _base_problems(spec, io)
    if speaker is not None:
        _say_who_speaks_otherwise(speaker, spec, io)
    longest = longest_prompt(spec, *(reader.context for reader in readers if reader is not None))
    problems += _room_problems(spec, longest)
    prompts = _read("data", spec.data, Prompt, speaker, io, problems)
    if spec.ptx is not None:
        _read("ptx.data", spec.ptx.data, Conversation | Text, speaker, io, problems)
    if problems or prompts is None or speaker is None or not speaker.is_final:
        return problems
    try:
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
    tokens = control_tokens_of(speaker.tokenizer) if speaker else ()
    try:
        rows = load_rows(data, row_type, io.outputs, control_tokens=tokens)
    except (DataError, RowError) as problem:
        problems += [f"{field}: {line}" for line in str(problem).splitlines()]
        return None
    io.findings.extend((field, finding) for finding in rows.report.findings)
    return rows


def _room_problems(spec: PpoSpec, longest: int | None) -> Iterator[str]:
    if longest is not None and longest < 1:
        most = spec.decoding.max_new_tokens
        yield (
            f"decoding.max_new_tokens: {most} leave no room for a prompt in the {most + longest} tokens that "
            "are read; lower it"
        )


def _unlike(policy: Speaker | None, value: Speaker | None) -> Iterator[str]:
    """A value model reads the policy's tokens, so it must have been trained with the very same."""
    if policy is None or value is None or policy.is_final != value.is_final:
        return
    for line in differences(
        contract_of(policy.tokenizer), contract_of(value.tokenizer), ("the policy", "the value model")
    ):
        yield f"value.path: the value model reads what the policy writes, {line}; choose one of the same base"


def _reward_models(spec: PpoSpec) -> Iterator[tuple[str, ModelSpec]]:
    """The models that the rewards read, by field; a reward that cannot be built is told elsewhere."""
    for name, entry in spec.rewards.items():
        try:
            source = as_source(entry.source.build())
        except (TypeError, ValueError):
            continue
        for leaf in leaves(source):
            if isinstance(model := getattr(leaf, "spec", None), ModelSpec):
                yield f"rewards.{name}", model


def _say_who_speaks_otherwise(policy: Speaker, spec: PpoSpec, io: StageIO) -> None:
    """A reward model may have a tokenizer and a template of its own; whoever mixes them should know."""
    for field, model in _reward_models(spec):
        speaker, problems = speaker_of(field, model, replace(io, findings=[]))
        if speaker is None or problems or speaker.is_final != policy.is_final:
            continue
        told = differences(
            contract_of(policy.tokenizer), contract_of(speaker.tokenizer), ("the policy", "it")
        )
        if told:
            io.warn(field, f"answers are put to it in its own template and tokens: {'; '.join(told)}")


def _base_problems(spec: PpoSpec, io: StageIO) -> list[str]:
    """Adapters that would share the policy's base, and were trained over another."""
    base = io.locate(spec.policy.path)
    models = [*_reward_models(spec), *([("value", spec.value)] if spec.value else [])]
    return [
        f"{field}: {line}"
        for field, model in models
        if (adapter := adapter_over(io.locate(model.path), base)) is not None
        for line in base_problems(adapter, base)
    ]
