"""Record: an evaluation -> the files that tables, reports and sweeps are made from.

Writes  evaluation.json, samples.jsonl, data.json, metrics.jsonl
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from align.artifacts.durable import write_json, write_text
from align.artifacts.metrics import MetricsLog
from align.artifacts.store import ArtifactDir
from align.evaluation.measure import Answers
from align.evaluation.rows import Row
from align.evaluation.suite import Suite


def write_evaluation(
    output: ArtifactDir, suites: Sequence[Suite], rows: Sequence[Row], settings: Mapping[str, Any]
) -> None:
    """Write evaluation.json: the tidy rows, and what they hold for; then data.json and the final metrics.

    docs/evaluation.md has the shape.
    """
    output.path.mkdir(parents=True, exist_ok=True)
    asked = {suite.name: _described(suite) for suite in suites}
    content = {"rows": [asdict(row) for row in rows], "suites": asked, **settings}
    write_json(output.evaluation, content)
    write_json(output.data, {"suites": {suite.name: suite.report for suite in suites}})
    metrics, names = MetricsLog(output.metrics), dict.fromkeys(row.checkpoint for row in rows)
    for name in names:
        values = {f"{row.suite}/{row.metric}": row.value for row in rows if row.checkpoint == name}
        metrics.append(len(names), values, split=name)


def _described(suite: Suite) -> dict[str, Any]:
    decoding = None if suite.decoding is None else asdict(suite.decoding)
    return {
        "prompts": len(suite.prompts),
        "digest": suite.digest,
        "decoding": decoding,
        **suite.described,
    }


def write_samples(
    output: ArtifactDir, suites: Sequence[Suite], answers: Mapping[str, Mapping[str, Answers]]
) -> None:
    """Write samples.jsonl: one line per prompt, with what every checkpoint answered and how it scored."""
    output.path.mkdir(parents=True, exist_ok=True)
    lines = [
        {
            "suite": suite.name,
            "prompt": [message.as_dict() for message in prompt.messages],
            "reference": prompt.reference,
            "cluster": cluster,
            "completions": {name: _sample(found, row) for name, found in answers[suite.name].items()},
        }
        for suite in suites
        for row, (prompt, cluster) in enumerate(zip(suite.prompts, suite.clusters, strict=True))
    ]
    write_text(output.samples, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def _sample(answers: Answers, row: int) -> dict[str, Any]:
    completion = answers.completions[row]
    return {
        "text": completion.text,
        "tokens": len(completion.tokens),
        "ended": completion.ended,
        "scores": {name: values[row] for name, values in answers.scores.items()},
        **_measured(answers, row),
    }


def _measured(answers: Answers, row: int) -> dict[str, Any]:
    """What the suite's metric says of one answer: [value, weight] by column; nothing where there is none."""
    found = {
        name: [column.values[row], 1 if column.weights is None else column.weights[row]]
        for name, column in answers.columns.items()
    }
    return {"measured": found} if found else {}
