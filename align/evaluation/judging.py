"""Judging: checkpoints' answers + judges -> verdicts on pairs of them, and leaderboards.

Writes  leaderboards.json, comparisons.jsonl
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
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
from align.judges.canary import canaries
from align.judges.kept import Kept
from align.judges.scored import Scored
from align.judges.source import Comparison, Judge, Verdict

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


@dataclass(frozen=True)
class Judgement:
    """All verdicts of an evaluation, and (judge, suite) -> how its canaries fared."""

    matches: list[Judged]
    canaries: dict[tuple[str, str], Mapping[str, Any]]


class Bench:
    """The judges of one evaluation, built before anything is generated."""

    def __init__(
        self,
        judges: Mapping[str, JudgeSpec],
        rewards: Mapping[str, PluginSpec],
        locate: Callable[[str], str],
        outputs: Path,
    ) -> None:
        self._specs = judges
        self._rewards = rewards
        self._judges: dict[str, Judge] = {}
        for name, spec in judges.items():
            judge = built_judge(name, spec.source.located(locate))
            identity = getattr(judge, "identity", None)
            self._judges[name] = judge if identity is None else Kept(judge, identity, outputs)

    def judge(self, suites: Sequence[Suite], given: Given, compare: Mapping[str, Sequence[str]]) -> Judgement:
        """Every judge's verdicts, suite by suite and pair by pair, and what its canaries say."""
        found = Judgement([], {})
        for name, spec in self._specs.items():
            for suite in suites:
                if spec.reads(suite.name):
                    self._remember(name, suite, given[suite.name])
                    pairs = _pairs(spec, list(given[suite.name]), compare)
                    self._judge(name, suite, given[suite.name], pairs, found)
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

    def _judge(
        self,
        name: str,
        suite: Suite,
        answers: Mapping[str, "Answers"],
        pairs: Sequence[Pair],
        found: Judgement,
    ) -> None:
        """One judge on one suite; adds to `found`."""
        spec, judge = self._specs[name], self._judges[name]
        rows = range(len(suite.prompts))[: spec.max_prompts]
        names = [prompt_name(suite.prompts[row].messages) for row in rows]
        asked: list[Comparison] = []
        verdicts: list[Verdict] = []
        for pair in pairs:
            own, other = ([answers[side].completions[row].text for row in rows] for side in pair)
            new = [Comparison(suite.prompts[row], own[row], other[row]) for row in rows]
            said = judge.compare(new)
            found.matches.append(judged(name, suite.name, pair, names, (own, other), said))
            asked += new
            verdicts += said
        if told := canaries(judge, asked, verdicts, spec.canaries):
            found.canaries[name, suite.name] = told.as_dict()


def write_leaderboards(
    output: ArtifactDir,
    suites: Sequence[Suite],
    given: Given,
    judgement: Judgement,
    *,
    resamples: int,
    seed: int,
) -> None:
    """Write comparisons.jsonl, and leaderboards.json with a flag for every checkpoint that answers alike.

    Where nothing is compared, neither by judges nor by rewards, many may rightly be answered with one word.
    """
    judged_suites = {match.suite for match in judgement.matches}
    flags = [
        flag
        for suite in suites
        if suite.name in judged_suites or any(own.scores for own in given[suite.name].values())
        for flag in _flags(suite, given[suite.name])
    ]
    boards = leaderboards(
        judgement.matches, flags=flags, resamples=resamples, seed=seed, canaries=judgement.canaries
    )
    write_judged(output.comparisons, judgement.matches)
    content: dict[str, Any] = {"leaderboards": boards, "flags": flags}
    write_json(output.leaderboards, content)


def _flags(suite: Suite, answers: Mapping[str, "Answers"]) -> list[Flag]:
    names = [prompt_name(prompt.messages) for prompt in suite.prompts]
    texts = {name: [item.text for item in own.completions] for name, own in answers.items()}
    return constant_flags(suite.name, names, texts)


def _pairs(spec: JudgeSpec, names: Sequence[str], compare: Mapping[str, Sequence[str]]) -> list[Pair]:
    if spec.pairs == "all":
        return [(later, earlier) for earlier, later in combinations(names, 2)]
    pairs = ((name, baseline) for name, baselines in compare.items() for baseline in baselines)
    return [pair for pair in pairs if set(pair) <= set(names)]  # not every suite has a best of several draws
