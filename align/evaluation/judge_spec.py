"""Who compares the answers of an evaluation, as configuration. Torch-free and light: plans are made of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from align.config.plugin import Plugin
from align.config.spec import NonNegativeInt, PositiveInt, Spec
from align.config.suggest import did_you_mean


@dataclass(frozen=True, kw_only=True)
class JudgeSpec(Spec):
    """Who compares answers, and which.

    `pairs` is `compare` (those that `compare` of the evaluation names) or `all` (every two checkpoints).
    `suites` are those it reads, null all; of each the first `max_prompts` prompts. `canaries` answers per
    suite are given a line that asks the judge to choose them; how many of the verdicts then change is told.
    """

    source: Plugin
    pairs: Literal["compare", "all"] = "compare"
    suites: tuple[str, ...] | None = None
    max_prompts: PositiveInt | None = None
    canaries: NonNegativeInt = 0

    def reads(self, suite: str) -> bool:
        """Whether answers to this suite are compared."""
        return self.suites is None or suite in self.suites


def judge_spec_problems(
    judges: Mapping[str, JudgeSpec], suites: Sequence[str], compared: Sequence[str], has_pairs: bool
) -> Iterator[str]:
    """What is wrong with the judges of an evaluation before anything is built.

    Args:
        judges: by name.
        suites: all of the evaluation.
        compared: those whose answers judges are shown.
        has_pairs: whether `compare` of the evaluation names any.
    """
    for name, spec in judges.items():
        yield from (f"judges.{name}.source: {problem}" for problem in spec.source.missing_arguments())
        for suite in spec.suites or ():
            if suite not in suites:
                hint = f"({', '.join(suites)}){did_you_mean(suite, suites)}"
                yield f"judges.{name}.suites: no suite {suite!r} here {hint}"
            elif suite not in compared:
                yield (
                    f"judges.{name}.suites: no judge reads answers to {suite}: it is multiple choice, or no "
                    f"reward scores it (suites.{suite}.rewards is empty); leave it out, or set rewards there"
                )
        if spec.pairs == "compare" and not has_pairs:
            yield f"judges.{name}.pairs: `compare` names no pairs; name some there, or set pairs to all"
