"""Answering: checkpoints + suites -> what each says, generated once and kept, or the best of several draws.

What fails is noted and left out, so that one suite does not cost the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from align.artifacts.metrics import TOTAL_STEPS, MetricsLog
from align.config.resources import Precision
from align.config.spec import REFERENCE_PREFIX
from align.evaluation.best_of import BestOfSpec, best_completions
from align.evaluation.choosing import choice_columns, choice_logprobs, chosen_texts
from align.evaluation.completions import Checkpoint, Engine, completions_of, identity_of
from align.evaluation.harness import harness_logprobs
from align.evaluation.measure import Answers
from align.evaluation.reading import text_logprobs
from align.evaluation.rows import TAX
from align.evaluation.scoring import scores_of
from align.evaluation.suite import Suite
from align.evaluation.tax import Read
from align.generation.decoding import DecodingSpec
from align.generation.sampler import Completion
from align.models.spec import ModelSpec
from align.rewards.source import RewardSource
from align.runtime.stage_io import StageIO

FAILURES = (
    OSError,
    RuntimeError,
    ValueError,
)  # running out of memory is a RuntimeError, DataError a ValueError

Spoken = dict[str, dict[str, list[Completion]]]  # checkpoint -> suite -> completions


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be measured, and why."""

    suite: str
    checkpoint: str
    problem: str


@dataclass(frozen=True, kw_only=True)
class Answering:
    """How the checkpoints of an evaluation are asked; `failures` grows with what does not work."""

    io: StageIO
    checkpoints: Mapping[str, ModelSpec]
    decoding: DecodingSpec
    precision: Precision
    failures: list[Failure] = field(default_factory=list)

    def spoken(self, suites: Sequence[Suite]) -> Spoken:
        """What every checkpoint says; it is in memory only while it answers."""
        engine, progress = self._engine(self.decoding), MetricsLog(self.io.output.metrics)
        progress.append(0, {TOTAL_STEPS: len(self.checkpoints)}, split="schedule")
        found: Spoken = {}
        for number, name in enumerate(self.checkpoints, start=1):
            found[name] = self._completions(name, name, suites, engine)
            progress.append(number, {"completions": sum(map(len, found[name].values()))}, split=name)
        return found

    def best_spoken(
        self, name: str, suites: Sequence[Suite], spec: BestOfSpec, source: RewardSource
    ) -> dict[str, list[Completion]]:
        """The best of several draws, by suite that `source` scores; the first draw is what is said anyway.

        Suites that are answered greedily are left out: there every draw is the same.
        """
        drawn = [suite for suite in suites if suite.decoding is None or suite.decoding.temperature]
        seeds = [replace(self.decoding, seed=self.decoding.seed + number) for number in range(spec.n)]
        draws = [self._completions(name, spec.checkpoint, drawn, self._engine(item)) for item in seeds]
        return {
            suite.name: best_completions([draw[suite.name] for draw in draws], suite.prompts, source)
            for suite in drawn
            if all(suite.name in draw for draw in draws)
        }

    def answers(
        self, suites: Sequence[Suite], spoken: Spoken, rewards: Mapping[str, Mapping[str, RewardSource]]
    ) -> dict[str, dict[str, Answers]]:
        """Suite -> checkpoint -> its answers, scored by the suite's `rewards` and measured by its metric."""
        found: dict[str, dict[str, Answers]] = {suite.name: {} for suite in suites}
        for suite in suites:
            for name, by_suite in spoken.items():
                if suite.name in by_suite:
                    with self._noting(suite.name, name):
                        given = by_suite[suite.name]
                        found[suite.name][name] = _answers(suite, given, rewards[suite.name])
        return found

    def readings(
        self, suites: Sequence[Suite], texts: Sequence[str]
    ) -> tuple[dict[str, dict[str, Answers]], dict[str, Read]]:
        """Suite -> checkpoint -> what it chose, and checkpoint -> how it read the texts."""
        chosen: dict[str, dict[str, Answers]] = {suite.name: {} for suite in suites}
        read: dict[str, Read] = {}
        if not suites and not texts:
            return chosen, read
        for name in self.checkpoints:
            try:
                model, tokenizer = self._engine(self.decoding).open(self._checkpoint(name), suites)
            except FAILURES as problem:
                names = [*(suite.name for suite in suites), *([TAX] if texts else [])]
                self.failures.extend(Failure(item, name, str(problem)) for item in names)
                continue
            for suite in suites:
                with self._noting(suite.name, name):
                    chosen[suite.name][name] = _chosen(suite, model, tokenizer)
            if texts:
                with self._noting(TAX, name):
                    read[name] = text_logprobs(model, tokenizer, texts)
        return chosen, read

    @contextmanager
    def _noting(self, suite: str, checkpoint: str) -> Iterator[None]:
        """Notes what fails inside, and goes on."""
        try:
            yield
        except FAILURES as problem:
            self.failures.append(Failure(suite, checkpoint, str(problem)))

    def _completions(
        self, label: str, name: str, suites: Sequence[Suite], engine: Engine
    ) -> dict[str, list[Completion]]:
        """Of all suites at once; if that fails, of each on its own."""
        try:
            return completions_of(self._checkpoint(name), suites, engine, self.io.outputs)
        except FAILURES:
            found: dict[str, list[Completion]] = {}
        for suite in suites:
            with self._noting(suite.name, label):
                found |= completions_of(self._checkpoint(name), [suite], engine, self.io.outputs)
        return found

    def _checkpoint(self, name: str) -> Checkpoint:
        """A checkpoint with the name its completions are kept under."""
        io, spec = self.io, self.checkpoints[name]
        source = spec.path.removeprefix(REFERENCE_PREFIX) if spec.path.startswith(REFERENCE_PREFIX) else None
        artifact = None if source is None else io.inputs[source]
        return Checkpoint(name, spec, io.locate(spec.path), identity_of(spec, artifact, io.outputs))

    def _engine(self, decoding: DecodingSpec) -> Engine:
        rows = self.io.resources.micro_batch
        return Engine(
            decoding=decoding,
            precision=self.precision,
            device=self.io.settings.hardware.accelerator,
            attention=self.io.resources.attention,
            batch_rows=None if rows == "auto" else rows,
        )


def _answers(suite: Suite, completions: list[Completion], rewards: Mapping[str, RewardSource]) -> Answers:
    texts = [completion.text for completion in completions]
    columns = suite.metric.measure(suite.prompts, texts) if suite.metric else {}
    return Answers(completions, scores_of(rewards, suite.prompts, texts), columns)


def _chosen(suite: Suite, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Answers:
    ask = harness_logprobs if suite.choose == "lm-eval" else choice_logprobs
    logprobs = ask(model, tokenizer, suite.prompts)
    completions = [Completion(text, (), True) for text in chosen_texts(suite.prompts, logprobs)]
    return Answers(completions, {}, choice_columns(suite.prompts, logprobs))


def described(failures: Sequence[Failure]) -> list[dict[str, str]]:
    """Failures as JSON has them, each once."""
    return [asdict(item) for item in dict.fromkeys(failures)]
