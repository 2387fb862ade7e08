"""Collect: prompts -> what the policy answers, how it scores, and what four models say about every token."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

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

# Episodes that tell, every time, whether the sampler's log-probabilities are those of training to so many
# nats: then the policy need not be read again.
PROBE_ROWS, ALIKE = 8, 1e-5


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


Asking = Callable[[], AbstractContextManager[Any]]


def cheapest(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The least that a model can be asked: a prompt of one token, a completion of one."""
    one = torch.ones(1, dtype=torch.long, device=device)
    return torch.zeros((1, 2), dtype=torch.long, device=device), one, one


class Reference:
    """What the KL penalty compares with: a frozen copy, or the policy with its adapter switched off.

    `asking_copy` makes the context that a frozen copy is to be asked in.
    """

    def __init__(
        self, policy: Engine, frozen: CompletionLogprobs | None, asking_copy: Asking = nullcontext
    ) -> None:
        self._policy = policy
        self._frozen = frozen
        self._asking_copy = asking_copy

    def asking(self) -> AbstractContextManager[Any]:
        """Where it can be asked."""
        return self._asking_policy() if self._frozen is None else self._asking_copy()

    @torch.no_grad()
    def logprobs(self, *sequences: Tensor) -> Tensor:
        """Log-probabilities of completion tokens. (B, T)"""
        with self._policy.computing():
            found: Tensor = (self._frozen or self._policy.ask)(*sequences)[0]
            return found

    @contextmanager
    def _asking_policy(self) -> Iterator[None]:
        model = self._policy.module.model
        assert isinstance(model, PeftModel)
        with model.disable_adapter(), self._policy.asking(*cheapest(self._policy.device)):
            yield


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
        with clock.phase("generate"), self.policy.sampling(self.sampler.model, self.sampler.idle):
            completions = self.sampler.complete_tokens([item.tokens for item in asked], asked[0].episode)
        with clock.phase("score"):
            prompts, texts = [item.prompt for item in asked], [completion.text for completion in completions]
            ids = [completion.tokens for completion in completions]
            scored = score_completions(self.sources, prompts, texts, ids)
            measured = score_completions(self.measured, prompts, texts, ids).parts if self.measured else {}
        sequences = as_sequences(
            [item.tokens for item in asked], [completion.tokens for completion in completions], self.pad
        )
        with clock.phase("read"):
            rollout = self._read(sequences, completions, scored)
        return Collected(rollout, prompts, completions, {**scored.parts, **measured})

    def _read(self, sequences: Sequences, completions: Sequence[Completion], scored: Scored) -> Rollout:
        device, mask = self.policy.device, sequences.mask.to(self.policy.device)
        ids, prompt_lengths, lengths = (
            item.to(device) for item in (sequences.input_ids, sequences.prompt_lengths, sequences.lengths)
        )
        drawn = torch.zeros(mask.shape, device=device)
        drawn[mask] = torch.tensor([value for item in completions for value in item.logprobs], device=device)
        names = ("old_logprobs", "reference_logprobs", "values", "entropy")
        rollout = Rollout(
            input_ids=ids,
            prompt_lengths=prompt_lengths,
            lengths=lengths,
            ended=torch.tensor([completion.ended for completion in completions], device=device),
            valid=scored.valid.to(device),
            scores=scored.total.to(device),
            sampler_logprobs=drawn,
            **{name: torch.zeros(mask.shape, device=device) for name in names},
        )
        every, least = range(len(rollout)), cheapest(device)
        with self.reference.asking():
            self._fill(rollout, every, lambda part: {"reference_logprobs": self.reference.logprobs(*part)})
        with self.value.asking(*least):
            self._fill(rollout, every, lambda part: {"values": self.value.ask(*part)})
        with self.policy.asking(*least):
            self._read_policy(rollout)
        return rollout

    def _read_policy(self, rollout: Rollout) -> None:
        def says(part: Sequence[Tensor]) -> dict[str, Tensor]:
            logprobs, entropy = self.policy.ask(*part, True)
            return {"old_logprobs": logprobs, "entropy": entropy}

        rows, rest, drawn = range(len(rollout)), slice(PROBE_ROWS, None), rollout.sampler_logprobs
        self._fill(rollout, rows[:PROBE_ROWS], says)
        if (rollout.old_logprobs - drawn)[:PROBE_ROWS].abs().max() <= ALIKE:
            rollout.old_logprobs[rest] = drawn[rest]
            rollout.entropy[rest] = -drawn[rest]
        else:
            self._fill(rollout, rows[rest], says)

    def _fill(
        self, rollout: Rollout, rows: Sequence[int], says: Callable[[Sequence[Tensor]], dict[str, Tensor]]
    ) -> None:
        """Fill in what a model says of some episodes."""
        sizes = (rollout.prompt_lengths + rollout.lengths).tolist()
        inputs = (rollout.input_ids, rollout.prompt_lengths, rollout.lengths)
        for batch in microbatches(sizes, rows, self.tokens):
            part = [item[batch] for item in inputs]
            part[0] = part[0][:, : rounded_up(sizes[batch[0]], WIDTH_STEP)]
            for name, values in says(part).items():
                getattr(rollout, name)[batch, : values.shape[1]] = values


@dataclass(frozen=True)
class Collected:
    """A rollout with what was said, and what every source made of it: source name -> (B,)."""

    rollout: Rollout
    prompts: Sequence[Prompt]
    completions: Sequence[Completion]
    parts: Mapping[str, Tensor]
