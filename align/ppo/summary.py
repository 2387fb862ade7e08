"""Summary: what a finished run came to, and what its policy says now -> lines of the stage's log."""

import json
from collections.abc import Iterator

from align.artifacts.metrics import read_metrics
from align.artifacts.store import ArtifactDir


def summary(output: ArtifactDir) -> Iterator[str]:
    """The rise of the score beside what it may have cost: KL, length, variety; then the last samples."""
    rows = [row for row in read_metrics(output.metrics) if row["split"] == "train"]
    first, last = rows[0], rows[-1]
    unit = first["objective/score_deviation"] or 1.0
    before, after = first["objective/score"], last["objective/score"]
    yield (
        f"score {before:.2f} -> {after:.2f}: {(after - before) / unit:+.1f} deviations of the first scores, "
        f"{last['objective/score_beyond_length'] / unit:+.1f} at equal length"
    )
    yield f"KL {last['objective/kl']:.1f} nats per completion"
    yield f"length {first['rollout/length']:.0f} -> {last['rollout/length']:.0f} tokens"
    yield (
        f"completions that open like the most of them: {first['text/same_opening']:.0%} -> "
        f"{last['text/same_opening']:.0%}"
    )
    samples = [json.loads(line) for line in output.samples.read_text(encoding="utf-8").splitlines()]
    for sample in samples:
        if sample["step"] == last["step"]:
            yield f"  {sample['prompt'][-1]['content']!r} -> {sample['text']!r} ({sample['score']:.2f})"
