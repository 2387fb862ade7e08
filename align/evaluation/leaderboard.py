"""Leaderboard: verdicts -> who beats whom, how surely, and in which order. Torch-free.

Writes  leaderboards.json, whose shape docs/evaluation.md tells in full:
        {"leaderboards": [{"judge", "suite", "status", "prompts", "missing", "shown_first", "canaries",
                           "checkpoints": [{"checkpoint", "rank", "strength", "low", "high", "win_rate"}],
                           "problem",
                           "pairs": [{"checkpoint", "baseline", "win_rate": {"value", "low", "high", "n"},
                                      "standard_error", "wins", "losses", "ties", "sign_p", "holm_p",
                                      "equal_length": {"value", "low", "high", "n"} or null, "longer",
                                      "winner", "is_too_few", "is_flagged"}]}],
         "flags": [{"suite", "checkpoint", "kind", "share", "example", "message"}]}
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from align.evaluation.constant import Flag
from align.evaluation.judged import Judged, table_of
from align.evaluation.pairwise import Pairwise, pairwise
from align.evaluation.ranking import bradley_terry

Board = dict[str, Any]


def leaderboards(
    matches: Sequence[Judged],
    *,
    flags: Sequence[Flag] = (),
    resamples: int,
    seed: int,
    canaries: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
) -> list[Board]:
    """One board per judge and suite, in the order of `matches`.

    Args:
        matches: all verdicts; several on the same pair, from several runs, are put together.
        flags: checkpoints that answer all prompts of a suite alike; these win nothing.
        resamples: of the bootstrap over prompts.
        seed: of the resampling.
        canaries: (judge, suite) -> how often it obeyed an instruction inside an answer.
    """
    alike = {(flag["suite"], flag["checkpoint"]) for flag in flags}
    groups: dict[tuple[str, str], list[Judged]] = {}
    for item in matches:
        groups.setdefault((item.judge, item.suite), []).append(item)
    return [
        {
            "judge": judge,
            "suite": suite,
            **_board(
                _merged(items),
                {name for place, name in alike if place == suite},
                resamples=resamples,
                seed=seed,
            ),
            "canaries": (canaries or {}).get((judge, suite)),
        }
        for (judge, suite), items in groups.items()
    ]


def _board(matches: Sequence[Judged], alike: Collection[str], *, resamples: int, seed: int) -> Board:
    table = table_of(matches)
    found = pairwise(matches, table, resamples=resamples, seed=seed)
    ranking = bradley_terry([item.pair for item in matches], table.values)
    ranked = {item.checkpoint: item for item in ranking.strengths}
    rates = _mean_rates(found)
    names = list(ranked) or sorted(rates, key=lambda name: -rates[name])
    missing = sum((Counter(item.missing) for item in matches), Counter())
    orders = [value for item in matches for value in item.shown_first if value is not None]
    return {
        "status": "partial" if missing["failed"] else "complete",
        "prompts": len(table.values),
        "comparisons": sum(len(item.values) for item in matches),
        "missing": dict(missing),
        "shown_first": float(np.mean(orders)) if orders else None,
        "consistent": _consistent(matches),
        "checkpoints": [
            {
                "checkpoint": name,
                "rank": ranked[name].rank if name in ranked else None,
                "strength": ranked[name].value if name in ranked else None,
                "low": ranked[name].low if name in ranked else None,
                "high": ranked[name].high if name in ranked else None,
                "win_rate": rates[name],
            }
            for name in names
        ],
        "problem": ranking.problem,
        "pairs": [_pair(item, alike) for item in found],
    }


def _consistent(matches: Sequence[Judged]) -> float | None:
    """How often both orders gave the same verdict; None where some answers were shown in one order only.

    Two verdicts with a share of a and b for what was read first give a value of (a + 1 - b) / 2 and a mean of
    (a + b) / 2: one of the two is near a half. A single vote of somebody for what they read first is neither.
    """
    known = [
        (value, first)
        for item in matches
        for value, first in zip(item.values, item.shown_first, strict=True)
        if value is not None and first is not None
    ]
    if not known or any(abs(value - 0.5) + abs(first - 0.5) > 0.5 for value, first in known):
        return None
    return float(np.mean([first == 0.5 for _, first in known]))


def _pair(item: Pairwise, alike: Collection[str]) -> dict[str, Any]:
    """A pair as JSON holds it; who answers all prompts alike is no winner, whatever the judge says."""
    entry = item.as_dict()
    is_flagged = entry["winner"] in alike
    return {**entry, "winner": None if is_flagged else entry["winner"], "is_flagged": is_flagged}


def _merged(matches: Sequence[Judged]) -> list[Judged]:
    """Verdicts on the same pair put together, whichever of the two is named first."""
    merged: dict[frozenset[str], Judged] = {}
    for item in matches:
        key = frozenset(item.pair)
        merged[key] = _joined(merged[key], item) if key in merged else item
    return list(merged.values())


def _joined(one: Judged, other: Judged) -> Judged:
    if one.pair != other.pair:
        other = _turned(other)
    return Judged(
        one.judge, one.suite, *one.pair,
        [*one.prompts, *other.prompts],
        [*one.values, *other.values],
        Counter(one.missing) + Counter(other.missing),
        [*one.shown_first, *other.shown_first],
        [*one.characters, *other.characters],
    )  # fmt: skip


def _turned(item: Judged) -> Judged:
    return Judged(
        item.judge, item.suite, item.baseline, item.checkpoint,
        item.prompts,
        [None if value is None else 1 - value for value in item.values],
        item.missing,
        item.shown_first,
        [(other, own) for own, other in item.characters],
    )  # fmt: skip


def _mean_rates(found: Sequence[Pairwise]) -> dict[str, float]:
    """Every checkpoint's win rate, averaged over those it was compared with."""
    rates: dict[str, list[float]] = {}
    for item in found:
        rates.setdefault(item.checkpoint, []).append(item.win_rate.value)
        rates.setdefault(item.baseline, []).append(1 - item.win_rate.value)
    return {name: float(np.mean(values)) for name, values in rates.items()}
