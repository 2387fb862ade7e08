"""Decoding: how tokens are chosen; one spec for evaluation, rollouts and chat."""

from dataclasses import dataclass

from align.config.spec import Fraction, Int, NonNegative, NonNegativeInt, PositiveInt, Spec


@dataclass(frozen=True, kw_only=True)
class DecodingSpec(Spec):
    """Complete generation settings, so that a checkpoint's own generation config cannot leak in.

    `temperature: 0` is greedy. `top_k: 0` and `top_p: 1` switch the filters off.
    """

    temperature: NonNegative = 0.0
    top_p: Fraction = 1.0
    top_k: NonNegativeInt = 0
    max_new_tokens: PositiveInt = 256
    seed: Int = 0
