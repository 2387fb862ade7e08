"""Check: what would stop an evaluation, found without weights, as `field: problem` lines."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from align.config.plugin import PluginSpec
from align.data.card import card_problems
from align.data.errors import DataError
from align.data.records import PreferencePair
from align.data.screening.control_tokens import ControlTokens
from align.data.screening.findings import Findings
from align.data.source import load_rows
from align.data.spec import DataSpec
from align.evaluation.choosing import choices_of
from align.evaluation.harness import harness_problem
from align.evaluation.judging import built_judge
from align.evaluation.suite import Suite
from align.evaluation.tax import tax_texts
from align.evaluation.tax_spec import TaxSpec
from align.models.spec import ModelSpec
from align.models.tokenizer import control_tokens_of
from align.rewards.composed import leaves
from align.rewards.function import as_source
from align.rewards.source import RewardSource
from align.runtime.speaker import speaker_of
from align.runtime.stage_io import StageIO

REMEDY = "remove it there, or leave such prompts out with a `filter` on their source"


def reward_problems(field: str, plugin: PluginSpec, suites: Sequence[Suite], io: StageIO) -> list[str]:
    """The reward can be built; its models can be read; without models it can score what it will be given."""
    try:
        source = as_source(plugin.build())
    except (TypeError, ValueError) as problem:
        return [f"{field}: {problem}"]
    read = (getattr(leaf, "spec", None) for leaf in leaves(source))
    models = [spec for spec in read if isinstance(spec, ModelSpec)]
    problems = [item for spec in models for item in speaker_of(field, spec, io)[1]]
    if not _names_model(plugin):
        problems += [item for suite in suites for item in _trial(field, source, suite)]
    return problems


def metric_problems(suite: Suite) -> list[str]:
    """The suite's metric can measure what it will be given, tried with empty answers; choices can be made."""
    if suite.choose == "lm-eval" and (problem := harness_problem()):
        return [f"suites.{suite.name}.choose: {problem}"]
    try:
        if suite.choose is not None:
            for prompt in suite.prompts:
                choices_of(prompt)
        if suite.metric is not None:
            suite.metric.measure(suite.prompts, [""] * len(suite.prompts))
    except (ImportError, KeyError, TypeError, ValueError) as cause:
        return [f"suites.{suite.name}.{'choose' if suite.choose else 'metric'}: {cause}"]
    return []


def tax_text_problems(spec: TaxSpec | None, outputs: Path) -> list[str]:
    """The texts on which the tax is measured can be read, and agree with their cards."""
    try:
        tax_texts(spec, outputs)
    except DataError as problem:
        return str(problem).splitlines()
    if spec is None or spec.texts is None:
        return []
    return [f"tax.texts.{line}" for line in card_problems(spec.texts, outputs)]


def judge_problems(name: str, plugin: PluginSpec, suites: Sequence[Suite], io: StageIO) -> list[str]:
    """The judge can be built and is ready; the reward that it compares by, if any, is sound."""
    field, reward = f"judges.{name}.source", plugin.arguments.get("reward")
    found = reward_problems(f"{field}.reward", reward, suites, io) if isinstance(reward, PluginSpec) else []
    if found:
        return found
    try:
        built_judge(name, plugin.located(io.locate))
    except DataError as problem:
        return str(problem).splitlines()
    return []


def preference_problems(
    data: DataSpec | None, judge_sets: Mapping[str, DataSpec], outputs: Path
) -> list[str]:
    """The pairs that reward models are measured on fit their cards, and judge sets can be read."""
    sets = {f"judge_sets.{name}": spec for name, spec in judge_sets.items()}
    given = sets if data is None else {"data": data, **sets}
    found = [f"{field}.{line}" for field, spec in given.items() for line in card_problems(spec, outputs)]
    for field, spec in sets.items():
        try:
            load_rows(spec, PreferencePair, outputs)
        except DataError as problem:
            found += [f"{field}: {line}" for line in str(problem).splitlines()]
    return found


def control_token_problems(
    field: str, tokenizer: PreTrainedTokenizerBase, suites: Iterable[Suite]
) -> list[str]:
    """Prompts that a tokenizer would take text of for its control tokens."""
    control = ControlTokens(control_tokens_of(tokenizer))
    problems = []
    for suite in suites:
        found = Findings()
        for number, prompt in enumerate(suite.prompts, start=1):
            if (token := control.first(prompt)) is not None:
                place = str(prompt.place or f"prompt {number}")
                message = f"the text holds {token!r}, which the tokenizer of {field} reads as a control token"
                found.note(suite.name, token, "error", place, message, REMEDY)
        problems += [f"suites.{suite.name}: {finding.error()}" for finding in found]
    return problems


def _names_model(plugin: PluginSpec) -> bool:
    named: list[str] = []

    def note(reference: str) -> str:
        named.append(reference)
        return reference

    plugin.located(note)
    return bool(named)


def _trial(field: str, source: RewardSource, suite: Suite) -> Iterator[str]:
    """Score the suite's prompts with empty answers: what the reward misses in a reference shows now."""
    try:
        source.score(suite.prompts, [""] * len(suite.prompts))
    except (KeyError, TypeError, ValueError) as problem:
        yield (
            f"{field}: cannot score suite {suite.name}: {problem}. "
            f"suites.{suite.name}.rewards lists the rewards that are to score it, a judge's `suites` those "
            "that it is to read"
        )
