"""Collect: prompts -> what the policy answers, how it scores, and what four models say about every token."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from peft import PeftModel
from torch import Tensor

from align.data.records import Prompt
from align.generation.sampler import Completion, TransformersSampler
from align.ppo.forward import CompletionLogprobs, Sequences, rounded_up
from align.ppo.prompts import Asked
from align.ppo.rollout import WIDTH_STEP, Rollout, as_sequences, microbatches
from align.ppo.score import Scored, WeightedSource, score_completions
from align.runtime.engine import Engine


class Clock:
    """Seconds per phase of one update."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens inside towards a phase."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


class Reference:
    """What the KL penalty compares with: a frozen copy, or the policy with its adapter switched off."""

    def __init__(self, policy: Engine, frozen: CompletionLogprobs | None) -> None:
        self._policy = policy
        self._frozen = frozen

    @torch.no_grad()
    def logprobs(self, *sequences: Tensor) -> Tensor:
        """Log-probabilities of completion tokens. (B, T)"""
        module = self._policy.module if self._frozen is None else self._frozen
        with self._switched_off(), self._policy.computing():
            found: Tensor = module(*sequences)[0]
            return found

    def _switched_off(self) -> AbstractContextManager[None]:
        model = self._policy.module.model
        if self._frozen is not None:
            return nullcontext()
        assert isinstance(model, PeftModel)
        return model.disable_adapter()


@dataclass(frozen=True, kw_only=True)
class Collector:
    """Everything that is asked to collect a rollout.

    `tokens` bounds the tokens, padding included, of a batch that is read without gradients. `measured` are
    sources that are logged and never paid.
    """

    sampler: TransformersSampler
    policy: Engine
    value: Engine
    reference: Reference
    sources: Mapping[str, WeightedSource]
    measured: Mapping[str, WeightedSource] = field(default_factory=dict)
    pad: int
    tokens: int

    def collect(self, asked: Sequence[Asked], clock: Clock) -> "Collected":
        """Answer, score, and read what was answered."""
        with clock.phase("generate"):
            completions = self.sampler.complete_tokens([item.tokens for item in asked], asked[0].episode)
        with clock.phase("score"):
            prompts, texts = [item.prompt for item in asked], [completion.text for completion in completions]
            scored = score_completions(self.sources, prompts, texts)
            measured = score_completions(self.measured, prompts, texts).parts if self.measured else {}
        sequences = as_sequences(
            [item.tokens for item in asked], [completion.tokens for completion in completions], self.pad
        )
        with clock.phase("read"):
            rollout = self._read(sequences, completions, scored)
        return Collected(rollout, prompts, completions, {**scored.parts, **measured})

    def _read(self, sequences: Sequences, completions: Sequence[Completion], scored: Scored) -> Rollout:
        mask = sequences.mask
        names = ("old_logprobs", "reference_logprobs", "values", "entropy")
        found = {name: torch.zeros(mask.shape, device=self.policy.device) for name in names}
        inputs = [
            item.to(self.policy.device)
            for item in (sequences.input_ids, sequences.prompt_lengths, sequences.lengths)
        ]
        sizes = (sequences.prompt_lengths + sequences.lengths).tolist()
        for rows in microbatches(sizes, range(len(sizes)), self.tokens):
            part = [item[rows] for item in inputs]
            part[0] = part[0][:, : rounded_up(sizes[rows[0]], WIDTH_STEP)]
            logprobs, entropy = self.policy.ask(*part, True)
            answers = (logprobs, self.reference.logprobs(*part), self.value.ask(*part), entropy)
            for name, values in zip(names, answers, strict=True):
                found[name][rows, : values.shape[1]] = values
        ids, prompt_lengths, lengths = inputs
        drawn = torch.zeros(mask.shape)
        drawn[mask] = torch.tensor([value for item in completions for value in item.logprobs])
        return Rollout(
            input_ids=ids,
            prompt_lengths=prompt_lengths,
            lengths=lengths,
            ended=torch.tensor([completion.ended for completion in completions], device=self.policy.device),
            valid=scored.valid.to(self.policy.device),
            scores=scored.total.to(self.policy.device),
            sampler_logprobs=drawn.to(self.policy.device),
            **found,
        )


@dataclass(frozen=True)
class Collected:
    """A rollout with what was said, and what every source made of it: source name -> (B,)."""

    rollout: Rollout
    prompts: Sequence[Prompt]
    completions: Sequence[Completion]
    parts: Mapping[str, Tensor]
