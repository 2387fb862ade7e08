"""Tax: what is asked of the checkpoints to see what alignment cost, as configuration. Torch-free."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from align.config.spec import NonNegative, Positive, PositiveInt, Spec
from align.data.spec import DataSpec


class TextRead(NamedTuple):
    """How a checkpoint read a text: log-probability in nats, tokens, and whether that was all of it."""

    nats: float
    tokens: int
    is_whole: bool = True


@dataclass(frozen=True, kw_only=True)
class TaxSpec(Spec):
    """What the other checkpoints lost against `base`: on `texts`, and in the suites that are multiple choice.

    `texts` are held-out rows, or all where nothing is held out; at most `max_texts`. A checkpoint whose
    perplexity exceeds `max_perplexity_ratio` times the base's, or whose accuracy in a suite falls by more
    than `max_accuracy_loss`, fails the stage once everything is written.
    """

    base: str = "base"
    texts: DataSpec | None = None
    max_texts: PositiveInt = 200
    max_perplexity_ratio: Positive | None = None
    max_accuracy_loss: NonNegative | None = None

    def __post_init__(self) -> None:
        if self.max_perplexity_ratio is not None and self.texts is None:
            raise ValueError("max_perplexity_ratio: there is nothing to read; name `texts`, or leave it out")

    def bounds(self) -> dict[str, Any]:
        """Who is the base, and what may be lost, as evaluation.json has it."""
        return {
            "base": self.base,
            "max_perplexity_ratio": self.max_perplexity_ratio,
            "max_accuracy_loss": self.max_accuracy_loss,
        }
