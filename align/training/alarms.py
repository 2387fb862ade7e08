"""Alarms: the numbers a trainer logs -> sentences about what a person should look at.

Source  falling likelihood of chosen answers under DPO: Pal et al. 2024, arXiv:2402.13228, §3
"""

from collections import deque
from collections.abc import Iterator, Mapping
from statistics import median

from align.runtime.alarms import Onsets

WINDOW = 20  # logged losses that tell what is usual
SETTLED = 8  # of them at least
SPIKE_DEVIATIONS, SPIKE_FACTOR = 8.0, 1.5  # both: early losses hardly vary, late ones are small
ENTROPY_SHARE = 0.2
CHOSEN_FACTOR = 1.5
DEVIATION_PER_MAD = 1.4826  # of a normal distribution


class Alarms:
    """Watches one training."""

    def __init__(self) -> None:
        self._losses: deque[float] = deque(maxlen=WINDOW)
        self._first: dict[str, float] = {}
        self._onsets = Onsets()

    def new(self, metrics: Mapping[str, float]) -> list[str]:
        """What these numbers give rise to say for the first time."""
        for name, value in metrics.items():
            self._first.setdefault(name, value)
        said = self._onsets.of(dict(self._found(metrics)))
        losses = [value for name, value in metrics.items() if name.endswith("/loss")]
        self._losses.extend(losses)
        return said

    def _found(self, now: Mapping[str, float]) -> Iterator[tuple[str, str]]:
        for name, loss in now.items():
            if name.endswith("/loss") and self._is_spike(loss):
                usual = median(self._losses)
                yield (
                    "spike",
                    f"the loss jumped to {loss:.3g} from about {usual:.3g}: "
                    "lower trainer.learning_rate or trainer.max_grad_norm, or look at the rows of this step",
                )
        if (name := "objective/entropy") in now and now[name] < ENTROPY_SHARE * self._first[name]:
            yield "entropy", f"entropy fell below {ENTROPY_SHARE:.0%} of what it was: train less, or slower"
        if (name := "dpo/chosen_logprob") in now and now[name] < CHOSEN_FACTOR * self._first[name]:
            yield (
                "chosen",
                f"chosen answers became far less likely ({self._first[name]:.3g} -> {now[name]:.3g} nats): "
                "raise trainer.beta, lower trainer.learning_rate, or add trainer.loss_type=[sigmoid,sft]",
            )

    def _is_spike(self, loss: float) -> bool:
        if len(self._losses) < SETTLED:
            return False
        usual = median(self._losses)
        deviation = DEVIATION_PER_MAD * median(abs(value - usual) for value in self._losses)
        return loss > usual + SPIKE_DEVIATIONS * deviation and loss > SPIKE_FACTOR * usual
