"""Preference sets: reward models + pairs that people judged -> rows, and what reward_models.json holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from align.data.records import PreferencePair
from align.data.source import load_rows
from align.data.spec import DataSpec
from align.evaluation.agreement import agreement_rows, score_pairs
from align.evaluation.reward_quality import reward_quality
from align.evaluation.rows import Row
from align.rewards.learned import LearnedReward

HELD_OUT = "held_out_pairs"


@dataclass(frozen=True)
class PreferenceSet:
    """Pairs, and which of them come from which source."""

    pairs: Sequence[PreferencePair]
    sources: Mapping[str, range]


def load_preference_sets(
    data: DataSpec | None, judge_sets: Mapping[str, DataSpec], outputs: Path
) -> dict[str, PreferenceSet]:
    """`held_out_pairs`, those of `data`; then every judge set as a whole."""
    found = {}
    if data is not None:
        rows = load_rows(data, PreferencePair, outputs)
        found[HELD_OUT] = PreferenceSet(rows.held_out, rows.held_out_spans())
    for name, spec in judge_sets.items():
        rows = load_rows(spec, PreferencePair, outputs)
        found[name] = PreferenceSet(rows.train, rows.train_spans())
    return found


def measured_models(
    models: Mapping[str, LearnedReward], sets: Mapping[str, PreferenceSet], *, resamples: int, seed: int
) -> tuple[list[Row], dict[str, Any]]:
    """Accuracy and margin as rows, and everything else as reward_models.json has it."""
    rows: list[Row] = []
    content: list[dict[str, Any]] = []
    for name, model in models.items():
        measured = {}
        for label, given in sets.items():
            chosen, rejected = score_pairs(model, given.pairs)
            sampling = {"resamples": resamples, "seed": seed}
            rows += agreement_rows(name, label, given.pairs, chosen, rejected, **sampling)
            measured[label] = reward_quality(given.pairs, chosen, rejected, given.sources, **sampling)
        content.append({"model": name, "sets": measured})
    return rows, {"reward_models": content}
