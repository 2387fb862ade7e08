"""Alarms: the numbers of every update -> sentences about what a person should look at.

Source  length, entropy and KL as signs of collapse: Zheng et al. 2023, arXiv:2307.04964, §4; a score that
        rises while what it stands for falls: Gao et al. 2022, arXiv:2210.10760
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, variance

from align.runtime.alarms import Onsets

KL_FACTOR = 3.0
ENTROPY_SHARE = 0.2
LENGTH_FACTOR = 1.5
ENDED_SHARE = 0.8
CLIPPED_SHARE = 0.3
SAMPLER_NATS = 0.05
SETTLED = 10  # updates after which a value model should explain something
WINDOW = 5  # updates whose mean is compared with that of as many before them
SURE = 2.0  # standard errors


class Alarms:
    """Watches one run.

    Args:
        kl_target: what the KL controller aims at, in nats; None: it aims at nothing.
        measured: sources that pay nothing; a score that rises while one of them falls is hollow.
    """

    def __init__(self, kl_target: float | None, measured: Sequence[str]) -> None:
        self._kl_target = kl_target
        self._measured = measured
        self._first: Mapping[str, float] | None = None
        self._recent: deque[Mapping[str, float]] = deque(maxlen=2 * WINDOW)
        self._updates = 0
        self._onsets = Onsets()

    def new(self, metrics: Mapping[str, float]) -> list[str]:
        """What this update's numbers give rise to say for the first time."""
        self._first = self._first or metrics
        self._recent.append(metrics)
        self._updates += 1
        return self._onsets.of(dict(self._found(self._first, metrics)))

    def _found(self, first: Mapping[str, float], now: Mapping[str, float]) -> Iterator[tuple[str, str]]:
        kl, ended = now["objective/kl"], now["rollout/ended_fraction"]
        if self._kl_target is not None and kl > KL_FACTOR * self._kl_target:
            yield "kl", f"KL is {kl:.1f} nats, over {KL_FACTOR:g} times the target: raise kl.coefficient"
        if now["objective/entropy"] < ENTROPY_SHARE * first["objective/entropy"]:
            yield "entropy", f"entropy fell below {ENTROPY_SHARE:.0%} of what it was: look at samples.jsonl"
        if now["rollout/length"] > LENGTH_FACTOR * first["rollout/length"]:
            yield "length", f"completions are over {LENGTH_FACTOR:g} times as long as at first"
        if ended < ENDED_SHARE:
            yield "ended", f"{ended:.0%} of the completions end: raise decoding.max_new_tokens"
        if now.get("policy/clip_fraction", 0.0) > CLIPPED_SHARE:
            yield "clipped", "many ratios are clipped: lower policy_optimizer.learning_rate"
        if (apart := now["sampler/difference"]) > SAMPLER_NATS:
            yield (
                "sampler",
                f"sampler and training are {apart:.2g} nats off one another: set precision to fp32",
            )
        if self._updates > SETTLED and now["value/explained_variance"] < 0:
            yield "value", "the value model explains nothing: look at value_optimizer.learning_rate"
        yield from self._hollow()

    def _hollow(self) -> Iterator[tuple[str, str]]:
        if len(self._recent) < 2 * WINDOW:
            return
        before, after = list(self._recent)[:WINDOW], list(self._recent)[WINDOW:]

        def change(name: str) -> float:
            """In standard errors."""
            old, new = ([row[name] for row in rows] for rows in (before, after))
            error = ((variance(old) + variance(new)) / WINDOW) ** 0.5
            return (mean(new) - mean(old)) / max(error, 1e-12)

        for name in self._measured:
            if change("objective/score") > SURE and change(f"score/{name}") < -SURE:
                yield f"hollow/{name}", f"the score rises while {name} falls: over-optimisation; stop earlier"
