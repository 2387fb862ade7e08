"""Check: what would stop an evaluation, found without weights, as `field: problem` lines."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from align.config.plugin import PluginSpec
from align.data.errors import DataError
from align.evaluation.judging import built_judge
from align.evaluation.suite import Suite
from align.models.spec import ModelSpec
from align.models.tokenizer import load_model_tokenizer
from align.rewards.composed import leaves
from align.rewards.source import RewardSource


def reward_problems(
    field: str, plugin: PluginSpec, suites: Sequence[Suite], locate: Callable[[str], str]
) -> list[str]:
    """The reward can be built; its models can be read; without models it can score what it will be given."""
    try:
        source = plugin.build()
    except (TypeError, ValueError) as problem:
        return [f"{field}: {problem}"]
    read = (getattr(leaf, "spec", None) for leaf in leaves(source))
    models = [spec for spec in read if isinstance(spec, ModelSpec)]
    problems = [item for spec in models for item in tokenizer_problems(field, spec, locate(spec.path))]
    if not _names_model(plugin):
        problems += [item for suite in suites for item in _trial(field, source, suite)]
    return problems


def judge_problems(
    name: str, plugin: PluginSpec, suites: Sequence[Suite], locate: Callable[[str], str]
) -> list[str]:
    """The judge can be built and is ready; the reward that it compares by, if any, is sound."""
    field, reward = f"judges.{name}.source", plugin.arguments.get("reward")
    found = (
        reward_problems(f"{field}.reward", reward, suites, locate) if isinstance(reward, PluginSpec) else []
    )
    if found:
        return found
    try:
        built_judge(name, plugin.located(locate))
    except DataError as problem:
        return str(problem).splitlines()
    return []


def tokenizer_problems(field: str, spec: ModelSpec, path: str) -> list[str]:
    """The tokenizer loads and has a template; a model that a stage has still to build is not looked at."""
    if spec.path.startswith("stage:") and not Path(path).exists():
        return []
    try:
        tokenizer = load_model_tokenizer(path, spec)
    except (OSError, ValueError) as problem:
        return [f"{field}.path: cannot load a tokenizer from {path}: {problem}"]
    return [] if tokenizer.chat_template else [f"{field}.chat_template: {missing_template(path)}"]


def missing_template(path: str) -> str:
    """The problem of a tokenizer that cannot be spoken to."""
    return f"the tokenizer of {path} has none; choose chatml, llama3, gemma or plain"


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
