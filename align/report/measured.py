"""Measured: the rows of all evaluations of a report, told apart where two measured the same otherwise."""

from collections.abc import Mapping
from typing import Any

from align.evaluation.rows import TAX, is_share, win_rate_parts
from align.report.collect import Facts, StageFacts

Row = Mapping[str, Any]
PAIRS = "held_out_pairs"


def rows_of(facts: Facts) -> list[Row]:
    """The tidy rows of all evaluations.

    What two of them measured alike stands once; where they differ, the later one is named as well.
    """
    found: dict[tuple[str, str, str], Row] = {}
    for stage in facts.evaluations:
        for row in (stage.evaluation or {}).get("rows", ()):
            key = row["checkpoint"], row["suite"], row["metric"]
            if key in found and found[key]["value"] != row["value"]:
                named = f"{row['checkpoint']} ({label(facts, stage)})"
                found[named, *key[1:]] = {**row, "checkpoint": named}
            else:
                found[key] = row
    return list(found.values())


def label(facts: Facts, stage: StageFacts) -> str:
    """The name of a stage, or of its artifact where the report has several of that name."""
    is_only = sum(other.name == stage.name for other in facts.stages) == 1
    return stage.name if is_only else stage.folder.name


def suite_rows(facts: Facts) -> list[Row]:
    """Those of checkpoints that answered: neither of reward models on pairs nor of the alignment tax."""
    pairs = {
        (entry["model"], name)
        for stage in facts.evaluations
        for entry in (stage.reward_models or {}).get("reward_models", ())
        for name in entry["sets"]
    }
    names = {*(name for _, name in pairs), PAIRS}
    models = {model for model, _ in pairs}
    return [
        row
        for row in rows_of(facts)
        if row["suite"] not in (TAX, PAIRS)
        and not (row["suite"] in names and row["checkpoint"].partition(" (")[0] in models)
    ]


def share_metrics(facts: Facts) -> set[str]:
    """The metrics to print in percent: what evaluation.json says are shares, else those known by name."""
    found: set[str] = set()
    for stage in facts.evaluations:
        content = stage.evaluation or {}
        known = content.get("shares")
        metrics = {row["metric"] for row in content.get("rows", ())}
        found |= {metric for metric in metrics if is_share(metric)} if known is None else set(known)
    return found


def comparisons(facts: Facts) -> list[Row]:
    """Win rates by gold, else the first reward, on the first suite that it judges: a report opens so."""
    found = [row for row in rows_of(facts) if win_rate_parts(row["metric"]) and "/" not in row["suite"]]
    if not found:
        return []
    rewards = list(dict.fromkeys(parts(row)[0] for row in found))
    judge = "gold" if "gold" in rewards else rewards[0]
    own = [row for row in found if parts(row)[0] == judge]
    return [row for row in own if row["suite"] == own[0]["suite"]]


def parts(row: Row) -> tuple[str, str]:
    """(reward, baseline) of a row that is a win rate."""
    found = win_rate_parts(row["metric"])
    assert found is not None
    return found
