"""Function: a plain Python function as a reward source. Torch-free.

It is called by name with what it takes: `prompts` (lists of `{"role", "content"}` turns), `completions`
(texts), `completion_ids` (the policy's tokens, where PPO asks), and everything else that the prompts'
references hold, one list per column; what is configured is not looked for there. It returns a number per
completion, or None where it cannot say.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from align.config.plugin import NAMED, PluginSpec
from align.data.records import Prompt
from align.rewards.source import RewardSource

Function = Callable[..., Sequence[float | None]]
Ids = Sequence[Sequence[int]]


class FunctionReward:
    """What a function says, as scores."""

    def __init__(self, function: Function) -> None:
        parameters = inspect.signature(function).parameters
        self._function = function
        self._takes_any = any(item.kind is item.VAR_KEYWORD for item in parameters.values())
        self._configured = function.keywords.keys() if isinstance(function, partial) else ()
        self._needed = {
            name: item.default is item.empty for name, item in parameters.items() if item.kind in NAMED
        }

    def score(
        self, prompts: Sequence[Prompt], completions: Sequence[str], completion_ids: Ids | None = None
    ) -> list[float]:
        """One score per completion, NaN where the function has none. (B,)

        Raises:
            ValueError: it needs something that the prompts' references, or whoever asks, do not have.
        """
        columns = self._columns(prompts)
        known = {name: column for name, column in columns.items() if name not in self._configured}
        known["prompts"] = [[turn.as_dict() for turn in prompt.messages] for prompt in prompts]
        known["completions"] = list(completions)
        if completion_ids is not None:
            known["completion_ids"] = [list(ids) for ids in completion_ids]
        missing = [name for name, is_needed in self._needed.items() if is_needed and name not in known]
        if missing:
            raise ValueError(
                f"the function needs {', '.join(missing)}; here are {', '.join(sorted(known))}. Columns come "
                "from the references of prompts, completion_ids from PPO alone"
            )
        given = known if self._takes_any else {name: known[name] for name in known if name in self._needed}
        return [math.nan if value is None else float(value) for value in self._function(**given)]

    @staticmethod
    def _columns(prompts: Sequence[Prompt]) -> dict[str, list[Any]]:
        """What all the references have, column by column; elsewhere None stands for what is missing."""
        names = dict.fromkeys(name for prompt in prompts for name in prompt.reference)
        return {name: [prompt.reference.get(name) for prompt in prompts] for name in names}


def is_reward_function(plugin: PluginSpec) -> bool:
    """Whether a `_target_` is a function that scores completions, and not what makes a source."""
    return inspect.isroutine(plugin.resolve()) and "completions" in plugin.parameters()


def missing_arguments(plugin: PluginSpec) -> list[str]:
    """Arguments that a reward lacks; what a function scores, and columns it reads, come with the prompts."""
    return [] if is_reward_function(plugin) else plugin.missing_arguments()


def as_source(built: Any) -> RewardSource:
    """A reward source as it is, a function as one.

    Raises:
        ValueError: it is neither.
    """
    if hasattr(built, "score"):
        return built  # type: ignore[no-any-return]
    if callable(built):
        return FunctionReward(built)
    kind = type(built).__name__
    raise ValueError(f"what it makes ({kind}) is no reward: it has no score(prompts, completions)")


def scores_of_tokens(
    source: RewardSource, prompts: Sequence[Prompt], completions: Sequence[str], completion_ids: Ids | None
) -> list[float]:
    """A source's scores where the tokens of the completions are known as well. (B,)"""
    if isinstance(source, FunctionReward):
        return source.score(prompts, completions, completion_ids)
    return source.score(prompts, completions)


def located_source(plugin: PluginSpec, locate: Callable[[str], str]) -> RewardSource:
    """A reward as configured, its models located."""
    return as_source(plugin.located(locate).build())
