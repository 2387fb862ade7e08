"""Judging: checkpoints' answers + judges -> verdicts on pairs of them, and leaderboards.

Writes  leaderboards.json, comparisons.jsonl
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from align.artifacts.durable import write_json
from align.artifacts.store import ArtifactDir
from align.config.plugin import PluginSpec
from align.data.errors import DataError
from align.evaluation.constant import Flag, constant_flags
from align.evaluation.judge_spec import JudgeSpec
from align.evaluation.judged import Judged, judged, prompt_name, write_judged
from align.evaluation.leaderboard import leaderboards
from align.evaluation.suite import Suite
from align.judges.scored import Scored
from align.judges.source import Comparison, Judge

if TYPE_CHECKING:  # what answers hold is generated with torch; the specification is read without it
    from align.evaluation.measure import Answers

Pair = tuple[str, str]
Given = Mapping[str, Mapping[str, "Answers"]]  # suite -> checkpoint -> answers


def built_judge(name: str, plugin: PluginSpec) -> Judge:
    """The judge.

    Raises:
        DataError: its arguments do not fit, or it says that it could not judge now.
    """
    try:
        judge: Judge = plugin.build()
    except (TypeError, ValueError) as problem:
        raise DataError(f"judges.{name}.source: {problem}") from problem
    if problems := judge.problems():
        raise DataError("\n".join(f"judges.{name}.source: {problem}" for problem in problems))
    return judge


class Bench:
    """The judges of one evaluation, built before anything is generated."""

    def __init__(
        self,
        judges: Mapping[str, JudgeSpec],
        rewards: Mapping[str, PluginSpec],
        locate: Callable[[str], str],
    ) -> None:
        self._specs = judges
        self._rewards = rewards
        self._judges = {name: built_judge(name, spec.source.located(locate)) for name, spec in judges.items()}

    def judge(
        self, suites: Sequence[Suite], given: Given, compare: Mapping[str, Sequence[str]]
    ) -> list[Judged]:
        """Every judge's verdicts, suite by suite and pair by pair."""
        found: list[Judged] = []
        for name, spec in self._specs.items():
            for suite in suites:
                if spec.reads(suite.name):
                    self._remember(name, suite, given[suite.name])
                    pairs = _pairs(spec, list(given[suite.name]), compare)
                    found += self._verdicts(name, suite, given[suite.name], pairs)
        return found

    def _remember(self, name: str, suite: Suite, answers: Mapping[str, "Answers"]) -> None:
        """A score that a reward has given is not asked for again."""
        judge, reward = self._judges[name], self._specs[name].source.arguments.get("reward")
        for known, plugin in self._rewards.items():
            if isinstance(judge, Scored) and plugin == reward:
                for own in answers.values():
                    if known in own.scores:
                        texts = [completion.text for completion in own.completions]
                        judge.remember(suite.prompts, texts, own.scores[known])

    def _verdicts(
        self, name: str, suite: Suite, answers: Mapping[str, "Answers"], pairs: Sequence[Pair]
    ) -> Iterator[Judged]:
        rows = range(len(suite.prompts))[: self._specs[name].max_prompts]
        names = [prompt_name(suite.prompts[row].messages) for row in rows]
        for pair in pairs:
            own, other = ([answers[side].completions[row].text for row in rows] for side in pair)
            asked = [Comparison(suite.prompts[row], own[row], other[row]) for row in rows]
            verdicts = self._judges[name].compare(asked)
            yield judged(name, suite.name, pair, names, (own, other), verdicts)


def write_leaderboards(
    output: ArtifactDir,
    suites: Sequence[Suite],
    given: Given,
    matches: Sequence[Judged],
    *,
    resamples: int,
    seed: int,
) -> None:
    """Write comparisons.jsonl, and leaderboards.json with a flag for every checkpoint that answers alike."""
    boards = leaderboards(matches, resamples=resamples, seed=seed)
    flags = [flag for suite in suites for flag in _flags(suite, given[suite.name])]
    write_judged(output.comparisons, matches)
    content: dict[str, Any] = {"leaderboards": boards, "flags": flags}
    write_json(output.leaderboards, content)


def _flags(suite: Suite, answers: Mapping[str, "Answers"]) -> list[Flag]:
    names = [prompt_name(prompt.messages) for prompt in suite.prompts]
    texts = {name: [item.text for item in own.completions] for name, own in answers.items()}
    return constant_flags(suite.name, names, texts)


def _pairs(spec: JudgeSpec, names: Sequence[str], compare: Mapping[str, Sequence[str]]) -> list[Pair]:
    if spec.pairs == "all":
        return [(later, earlier) for earlier, later in combinations(names, 2)]
    return [(name, baseline) for name, baselines in compare.items() for baseline in baselines]
