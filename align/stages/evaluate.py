"""Evaluation: checkpoints + prompt suites + reward sources -> what each checkpoint answers, and how good
it is.

Reads   checkpoints (stages, folders or Hub ids), prompts, reward models
Writes  evaluation.json (tidy rows with intervals), samples.jsonl (every prompt with all answers and scores),
        metrics.jsonl, data.json; completions are kept in outputs/completions
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from align.config.plugin import Plugin
from align.config.resources import Precision
from align.config.spec import Int, PositiveInt, Spec
from align.config.suggest import did_you_mean
from align.data.spec import DataSpec
from align.evaluation.best_of import BestOfSpec
from align.evaluation.judge_spec import JudgeSpec, judge_spec_problems
from align.evaluation.suite import Suite, SuiteSpec, load_suite, suite_card_problems
from align.evaluation.tax_spec import TaxSpec
from align.generation.decoding import DecodingSpec
from align.models.spec import ModelSpec
from align.rewards.function import located_source, missing_arguments
from align.stages.stage import StageIO

if TYPE_CHECKING:
    from align.evaluation.answering import Answering
    from align.evaluation.measure import Answers
    from align.evaluation.rows import Row
    from align.evaluation.tax import Read


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
    tax: TaxSpec | None = None
    precision: Precision
    resamples: PositiveInt = 2000
    seed: Int

    def __post_init__(self) -> None:
        found = [*self._extent_problems(), *self._comparison_problems(), *self._reward_problems()]
        found += [*self._best_of_problems()]
        compared = [name for name in self.suites if self._is_compared(name)]
        found += judge_spec_problems(self.judges, list(self.suites), compared, bool(self.compare))
        if self.tax is not None and self.checkpoints and self.tax.base not in self.checkpoints:
            known = f"({', '.join(self.checkpoints)}){did_you_mean(self.tax.base, self.checkpoints)}"
            found.append(f"tax.base: no checkpoint {self.tax.base!r} here {known}")
        if found:
            raise ValueError("\n".join(found))

    def check(self, io: StageIO) -> list[str]:
        """Problems that would stop this stage, as `field.path: problem`."""
        from align.evaluation.check import (
            control_token_problems,
            judge_problems,
            metric_problems,
            preference_problems,
            reward_problems,
            tax_text_problems,
        )
        from align.runtime.speaker import speaker_of

        suites: dict[str, Suite] = {}
        problems = [*self._suite_problems(io, suites)]
        problems += [item for suite in suites.values() for item in metric_problems(suite)]
        problems += tax_text_problems(self.tax, io.outputs)
        for name, plugin in self.rewards.items():
            asked = [suite for suite in suites.values() if self._is_scored(suite.name, name)]
            problems += reward_problems(f"rewards.{name}", plugin, asked, io)
        for name, judge in self.judges.items():
            asked = [suite for suite in self._compared(suites.values(), set()) if judge.reads(suite.name)]
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
        """Generate what is not kept yet, score, and write the tables.

        Raises:
            DataError: some of it failed (what was measured is kept, and marked partial), or a checkpoint lost
                more than `tax` allows.
        """
        from align.artifacts.durable import write_json
        from align.data.errors import DataError
        from align.evaluation.answering import Answering, described
        from align.evaluation.curves import risk_curves
        from align.evaluation.judging import Bench, write_leaderboards
        from align.evaluation.measure import shares_in
        from align.evaluation.record import write_evaluation, write_samples
        from align.evaluation.tax import tax_problems, tax_texts

        bench = Bench(self.judges, self.rewards, io.locate, io.outputs)  # an absent judge is told now
        suites = [load_suite(name, spec, io.outputs) for name, spec in self.suites.items()]
        answering = Answering(
            io=io, checkpoints=self.checkpoints, decoding=self.decoding, precision=self.precision
        )
        asked = [suite for suite in suites if suite.choose is None]
        answers = self._answers(answering, io, asked)
        texts = tax_texts(self.tax, io.outputs)
        chosen, read = answering.readings([suite for suite in suites if suite.choose], texts)
        answers |= chosen
        qualities, reward_models = self._qualities(io)
        taxed = self._taxed(read, chosen)
        rows = [*self._measured(suites, answers), *taxed, *qualities]
        write_samples(io.output, suites, answers)
        write_json(io.output.reward_models, reward_models)
        failures = described(answering.failures)
        whole = self._compared(asked, {item["suite"] for item in failures})
        judgement = bench.judge(whole, answers, self._baselines())
        write_leaderboards(io.output, whole, answers, judgement, resamples=self.resamples, seed=self.seed)
        settings = {
            "status": "partial" if failures else "complete",
            "failures": failures,
            "decoding": asdict(self.decoding),
            "precision": self.precision,
            "resamples": self.resamples,
            "shares": shares_in(rows, answers),
            "tax": None if self.tax is None else self.tax.bounds(),
            "curves": list(risk_curves(suites, answers)),
        }
        write_evaluation(io.output, suites, rows, settings)
        if failures:
            told = [f"suites.{item['suite']}: {item['checkpoint']}: {item['problem']}" for item in failures]
            told.append(f"The evaluation is partial: what was measured is kept in {io.output.evaluation}")
            raise DataError("\n".join(told))
        if self.tax is not None and (lost := list(tax_problems(self.tax, taxed))):
            raise DataError("\n".join([*lost, f"What was measured is kept in {io.output.evaluation}"]))

    def _extent_problems(self) -> Iterator[str]:
        if not self.checkpoints and not self.reward_models:
            yield "nothing to evaluate: name checkpoints and suites, or reward_models and data"
        if self.checkpoints and not self.suites:
            yield "suites: the checkpoints are asked nothing; name at least one suite"
        if self.data is not None and self.reward_models and not self.data.held_out:
            yield "data: nothing is held out to measure reward models on; set data.held_out above 0"
        if self.reward_models and self.data is None and not self.judge_sets:
            yield "reward_models: these need `data`: preference pairs, some of them held out (data.held_out)"
        if self.tax is not None and self.tax.max_accuracy_loss is not None and not self._has_choices():
            yield "tax.max_accuracy_loss: no suite is multiple choice (`choose`); add one, or leave it out"
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
            yield from (f"rewards.{name}: {problem}" for problem in missing_arguments(plugin))
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

    def _answers(
        self, answering: "Answering", io: StageIO, suites: Sequence[Suite]
    ) -> "dict[str, dict[str, Answers]]":
        """Suite -> checkpoint -> answers with their scores."""
        rewards = {name: located_source(plugin, io.locate) for name, plugin in self.rewards.items()}
        spoken = answering.spoken(suites)
        compared = self._compared(suites, set())
        for name, spec in self.best_of.items():
            scorable = [suite for suite in compared if self._is_scored(suite.name, spec.reward)]
            spoken[name] = answering.best_spoken(name, scorable, spec, rewards[spec.reward])
        scored = {
            suite.name: {name: item for name, item in rewards.items() if self._is_scored(suite.name, name)}
            for suite in suites
        }
        return answering.answers(suites, spoken, scored)

    def _measured(
        self, suites: Sequence[Suite], answers: "Mapping[str, Mapping[str, Answers]]"
    ) -> "Iterator[Row]":
        from align.evaluation.measure import measure

        for suite in suites:
            yield from measure(
                suite, answers[suite.name], self._baselines(), resamples=self.resamples, seed=self.seed
            )

    def _taxed(
        self, read: "Mapping[str, Read]", chosen: "Mapping[str, Mapping[str, Answers]]"
    ) -> "list[Row]":
        """What alignment cost, where `tax` asks for it."""
        from align.evaluation.rows import ACCURACY
        from align.evaluation.tax import tax_rows

        if self.tax is None:
            return []
        right = {
            suite: {name: given.columns[ACCURACY] for name, given in answers.items()}
            for suite, answers in chosen.items()
        }
        return list(tax_rows(self.tax, read, right, resamples=self.resamples, seed=self.seed))

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

    def _baselines(self) -> dict[str, tuple[str, ...]]:
        return {name: (given,) if isinstance(given, str) else given for name, given in self.compare.items()}

    def _compared(self, suites: Iterable[Suite], failed: set[str]) -> list[Suite]:
        """What rewards choose in and judges compare: not what failed, nor what no reward scores."""
        return [suite for suite in suites if suite.name not in failed and self._is_compared(suite.name)]

    def _has_choices(self) -> bool:
        return any(spec.choose is not None for spec in self.suites.values())

    def _is_compared(self, suite: str) -> bool:
        spec = self.suites[suite]
        return spec.choose is None and (spec.rewards != () or not self.rewards)

    def _is_scored(self, suite: str, reward: str) -> bool:
        named = self.suites[suite].rewards
        return named is None or reward in named
