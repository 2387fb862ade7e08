"""Evaluation: checkpoints + prompt suites + reward sources -> what each checkpoint answers, and how good
it is.

Reads   checkpoints (stages, folders or Hub ids), prompts, reward models
Writes  evaluation.json (tidy rows with intervals), samples.jsonl (every prompt with all answers and scores),
        metrics.jsonl, data.json; completions are kept in outputs/completions
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from align.config.plugin import Plugin
from align.config.resources import Precision
from align.config.spec import Int, PositiveInt, Spec
from align.config.suggest import did_you_mean
from align.data.spec import DataSpec
from align.evaluation.best_of import BestOfSpec
from align.evaluation.judge_spec import JudgeSpec, judge_spec_problems
from align.evaluation.suite import Suite, SuiteSpec, load_suite, suite_card_problems
from align.generation.decoding import DecodingSpec
from align.models.spec import ModelSpec
from align.stages.stage import REFERENCE_PREFIX, StageIO

if TYPE_CHECKING:
    from align.evaluation.completions import Checkpoint, Engine
    from align.evaluation.measure import Answers
    from align.evaluation.rows import Row
    from align.generation.sampler import Completion
    from align.rewards.source import RewardSource


@dataclass(frozen=True, kw_only=True)
class Evaluate(Spec):
    """Ask every checkpoint the same questions and score the answers.

    `best_of` adds what a checkpoint would say if a reward chose among several of its answers.
    `compare` names for a checkpoint the one (or those) whose answers to the same prompts its own should beat.
    `reward_models` are measured on the held-out split of `data`, which are preference pairs, and on all of
    each of the `judge_sets`.
    """

    kind: Literal["evaluate"] = "evaluate"
    version: ClassVar[int] = 1

    checkpoints: Mapping[str, ModelSpec] = field(default_factory=dict)
    suites: Mapping[str, SuiteSpec] = field(default_factory=dict)
    rewards: Mapping[str, Plugin] = field(default_factory=dict)
    compare: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    judges: Mapping[str, JudgeSpec] = field(default_factory=dict)
    best_of: Mapping[str, BestOfSpec] = field(default_factory=dict)
    reward_models: Mapping[str, ModelSpec] = field(default_factory=dict)
    data: DataSpec | None = None
    judge_sets: Mapping[str, DataSpec] = field(default_factory=dict)
    decoding: DecodingSpec = field(default_factory=DecodingSpec)
    precision: Precision
    resamples: PositiveInt = 2000
    seed: Int

    def __post_init__(self) -> None:
        found = [*self._extent_problems(), *self._comparison_problems(), *self._reward_problems()]
        found += [*self._best_of_problems()]
        found += judge_spec_problems(self.judges, list(self.suites), bool(self.compare))
        if found:
            raise ValueError("\n".join(found))

    def check(self, io: StageIO) -> list[str]:
        """Problems that would stop this stage, as `field.path: problem`."""
        from align.evaluation.check import (
            control_token_problems,
            judge_problems,
            preference_problems,
            reward_problems,
        )
        from align.runtime.speaker import speaker_of

        suites: dict[str, Suite] = {}
        problems = [*self._suite_problems(io, suites)]
        for name, plugin in self.rewards.items():
            asked = [suite for suite in suites.values() if self._is_scored(suite.name, name)]
            problems += reward_problems(f"rewards.{name}", plugin, asked, io)
        for name, judge in self.judges.items():
            asked = [suite for suite in suites.values() if judge.reads(suite.name)]
            problems += judge_problems(name, judge.source, asked, io)
        for group, specs in (("checkpoints", self.checkpoints), ("reward_models", self.reward_models)):
            for name, spec in specs.items():
                speaker, found = speaker_of(f"{group}.{name}", spec, io)
                problems += found
                if speaker is not None and group == "checkpoints":
                    field = f"{group}.{name}"
                    problems += control_token_problems(field, speaker.tokenizer, suites.values())
        if self.reward_models:
            problems += preference_problems(self.data, self.judge_sets, io.outputs)
        return problems

    def run(self, io: StageIO) -> None:
        """Generate what is not kept yet, score, and write the tables."""
        from align.artifacts.durable import write_json
        from align.evaluation.judging import Bench, write_leaderboards
        from align.evaluation.record import write_evaluation, write_samples

        bench = Bench(self.judges, self.rewards, io.locate, io.outputs)  # an absent judge is told now
        suites = [load_suite(name, spec, io.outputs) for name, spec in self.suites.items()]
        answers = self._answers(io, suites)
        qualities, reward_models = self._qualities(io)
        rows = [*self._measured(suites, answers), *qualities]
        write_samples(io.output, suites, answers)
        write_json(io.output.reward_models, reward_models)
        judgement = bench.judge(suites, answers, self._baselines())
        write_leaderboards(io.output, suites, answers, judgement, resamples=self.resamples, seed=self.seed)
        settings = {
            "decoding": asdict(self.decoding),
            "precision": self.precision,
            "resamples": self.resamples,
        }
        write_evaluation(io.output, suites, rows, settings)

    def _extent_problems(self) -> Iterator[str]:
        if not self.checkpoints and not self.reward_models:
            yield "nothing to evaluate: name checkpoints and suites, or reward_models and data"
        if self.checkpoints and not self.suites:
            yield "suites: the checkpoints are asked nothing; name at least one suite"
        if self.data is not None and self.reward_models and not self.data.held_out:
            yield "data: nothing is held out to measure reward models on; set data.held_out above 0"
        if self.reward_models and self.data is None and not self.judge_sets:
            yield "reward_models: these need `data`: preference pairs, some of them held out (data.held_out)"
        if self.judge_sets and not self.reward_models:
            yield "judge_sets: nobody is measured on them; name reward_models"

    def _best_of_problems(self) -> Iterator[str]:
        for name, spec in self.best_of.items():
            for kind, given, known in (
                ("checkpoint", spec.checkpoint, self.checkpoints),
                ("reward", spec.reward, self.rewards),
            ):
                if given not in known:
                    hint = f"({', '.join(known)}){did_you_mean(given, known)}"
                    yield f"best_of.{name}.{kind}: no {kind} {given!r} here {hint}"
            if name in self.checkpoints:
                yield f"best_of.{name}: a checkpoint has this name; choose another"
            if self.decoding.temperature == 0:
                yield f"best_of.{name}: greedy answers are all the same; set decoding.temperature above 0"

    def _comparison_problems(self) -> Iterator[str]:
        for name, baselines in self._baselines().items():
            for other in (name, *baselines):
                if other not in {*self.checkpoints, *self.best_of}:
                    names = [*self.checkpoints, *self.best_of]
                    known = f"({', '.join(names)}){did_you_mean(other, names)}"
                    yield f"compare.{name}: no checkpoint {other!r} here {known}"
            if name in baselines:
                yield f"compare.{name}: a checkpoint is not compared with itself"

    def _reward_problems(self) -> Iterator[str]:
        for name, plugin in self.rewards.items():
            yield from (f"rewards.{name}: {problem}" for problem in plugin.missing_arguments())
        for suite, spec in self.suites.items():
            for name in spec.rewards or ():
                if name not in self.rewards:
                    known = f"({', '.join(self.rewards)}){did_you_mean(name, self.rewards)}"
                    yield f"suites.{suite}.rewards: no reward {name!r} here {known}"

    def _suite_problems(self, io: StageIO, suites: dict[str, Suite]) -> Iterator[str]:
        """Read every suite; those that can be read are put into `suites`."""
        from align.data.errors import DataError

        for name, spec in self.suites.items():
            yield from suite_card_problems(name, spec, io.outputs)
            try:
                suites[name] = load_suite(name, spec, io.outputs)
            except DataError as problem:
                yield from str(problem).splitlines()

    def _answers(self, io: StageIO, suites: Sequence[Suite]) -> "dict[str, dict[str, Answers]]":
        """Suite -> checkpoint -> answers with their scores."""
        from align.evaluation.measure import Answers
        from align.evaluation.scoring import scores_of

        spoken = self._spoken(io, suites)
        rewards = {name: plugin.located(io.locate).build() for name, plugin in self.rewards.items()}
        spoken |= self._best_spoken(io, suites, rewards)
        found: dict[str, dict[str, Answers]] = {suite.name: {} for suite in suites}
        for suite in suites:
            sources = {name: item for name, item in rewards.items() if self._is_scored(suite.name, name)}
            for name, completions in ((name, by_suite[suite.name]) for name, by_suite in spoken.items()):
                scores = scores_of(sources, suite.prompts, [completion.text for completion in completions])
                found[suite.name][name] = Answers(completions, scores)
        return found

    def _spoken(self, io: StageIO, suites: Sequence[Suite]) -> "dict[str, dict[str, list[Completion]]]":
        """Checkpoint -> suite -> completions; a checkpoint is in memory only while it answers."""
        from align.artifacts.metrics import TOTAL_STEPS, MetricsLog
        from align.evaluation.completions import completions_of

        engine, progress = self._engine(io, self.decoding), MetricsLog(io.output.metrics)
        progress.append(0, {TOTAL_STEPS: len(self.checkpoints)}, split="schedule")
        spoken: dict[str, dict[str, list[Completion]]] = {}
        for number, (name, spec) in enumerate(self.checkpoints.items(), start=1):
            spoken[name] = completions_of(_checkpoint(io, name, spec), suites, engine, io.outputs)
            progress.append(number, {"completions": sum(map(len, spoken[name].values()))}, split=name)
        return spoken

    def _best_spoken(
        self, io: StageIO, suites: Sequence[Suite], rewards: "Mapping[str, RewardSource]"
    ) -> "dict[str, dict[str, list[Completion]]]":
        """As `_spoken`, of the best of several draws; the first draw is what the checkpoint says anyway."""
        from align.evaluation.best_of import best_completions
        from align.evaluation.completions import completions_of

        found: dict[str, dict[str, list[Completion]]] = {}
        for name, spec in self.best_of.items():
            checkpoint = _checkpoint(io, spec.checkpoint, self.checkpoints[spec.checkpoint])
            draws = []
            for number in range(spec.n):
                decoding = replace(self.decoding, seed=self.decoding.seed + number)
                draws.append(completions_of(checkpoint, suites, self._engine(io, decoding), io.outputs))
            found[name] = {
                suite.name: best_completions(
                    [draw[suite.name] for draw in draws], suite.prompts, rewards[spec.reward]
                )
                for suite in suites
            }
        return found

    def _measured(
        self, suites: Sequence[Suite], answers: "Mapping[str, Mapping[str, Answers]]"
    ) -> "Iterator[Row]":
        from align.evaluation.measure import measure

        for suite in suites:
            yield from measure(
                suite, answers[suite.name], self._baselines(), resamples=self.resamples, seed=self.seed
            )

    def _qualities(self, io: StageIO) -> "tuple[list[Row], dict[str, Any]]":
        """The reward models on pairs that no stage with the same `data` has trained on, and on judge sets."""
        from align.evaluation.preference_sets import load_preference_sets, measured_models
        from align.rewards.learned import LearnedReward

        models = {
            name: LearnedReward(
                model=io.locate(spec.path),
                revision=spec.revision,
                chat_template=spec.chat_template,
                trust_remote_code=spec.trust_remote_code,
                precision=self.precision,
            )
            for name, spec in self.reward_models.items()
        }
        sets = load_preference_sets(self.data, self.judge_sets, io.outputs) if models else {}
        return measured_models(models, sets, resamples=self.resamples, seed=self.seed)

    def _engine(self, io: StageIO, decoding: DecodingSpec) -> "Engine":
        from align.evaluation.completions import Engine

        rows = io.resources.micro_batch
        return Engine(
            decoding=decoding,
            precision=self.precision,
            device=io.settings.hardware.accelerator,
            attention=io.resources.attention,
            batch_rows=None if rows == "auto" else rows,
        )

    def _baselines(self) -> dict[str, tuple[str, ...]]:
        return {name: (given,) if isinstance(given, str) else given for name, given in self.compare.items()}

    def _is_scored(self, suite: str, reward: str) -> bool:
        named = self.suites[suite].rewards
        return named is None or reward in named


def _checkpoint(io: StageIO, name: str, spec: ModelSpec) -> "Checkpoint":
    """A checkpoint with the name its completions are kept under."""
    from align.evaluation.completions import Checkpoint, identity_of

    source = spec.path.removeprefix(REFERENCE_PREFIX) if spec.path.startswith(REFERENCE_PREFIX) else None
    artifact = None if source is None else io.inputs[source]
    return Checkpoint(name, spec, io.locate(spec.path), identity_of(spec, artifact, io.outputs))
