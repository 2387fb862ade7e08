"""Harness: multiple choice asked by lm-eval, as a local task on a local file; it is imported late.

Writes  the task and its rows into a temporary folder
"""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from align.data.records import Prompt
from align.evaluation.choosing import choices_of, require_finite

TASK = "align_choices"
_CONFIG = {
    "task": TASK,
    "dataset_path": "json",
    "output_type": "multiple_choice",
    "test_split": "test",
    "doc_to_text": "{{query}}",
    "doc_to_choice": "choices",
    "doc_to_target": "answer",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 1.0},
}


def harness_problem() -> str | None:
    """Why lm-eval cannot be asked, or None."""
    return None if find_spec("lm_eval") else "lm-eval is not installed: pip install 'align[benchmarks]'"


def harness_logprobs(
    model: Any, tokenizer: Any, prompts: Sequence[Prompt], batch_size: int = 16
) -> list[list[float]]:
    """Log-probabilities in nats of every choice of every prompt, as lm-eval computes them.

    The chat template is the tokenizer's; a choice is what the assistant's turn begins with.

    Raises:
        ValueError: lm-eval is not installed, or a prompt is a dialogue of several turns, or a likelihood is
            not finite.
    """
    if problem := harness_problem():
        raise ValueError(problem)
    if any(len(prompt.messages) > 1 for prompt in prompts):
        raise ValueError("lm-eval is asked single questions only; set `choose: likelihood`")
    from lm_eval import simple_evaluate  # noqa: PLC0415
    from lm_eval.models.huggingface import HFLM  # noqa: PLC0415
    from lm_eval.tasks import TaskManager  # noqa: PLC0415

    with TemporaryDirectory() as folder:
        _write_task(Path(folder), prompts)
        results = simple_evaluate(
            model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size),
            tasks=[TASK],
            task_manager=TaskManager(include_path=folder, include_defaults=False),
            apply_chat_template=True,
            bootstrap_iters=0,
            log_samples=True,
        )
    assert results is not None  # this process is the first of its group
    samples = sorted(results["samples"][TASK], key=lambda sample: sample["doc_id"])
    logprobs = [[float(found[0]) for found in sample["filtered_resps"]] for sample in samples]
    require_finite([value for found in logprobs for value in found])
    return logprobs


def _write_task(folder: Path, prompts: Sequence[Prompt]) -> None:
    rows = []
    for prompt in prompts:
        choices, answer = choices_of(prompt)
        rows.append({"query": prompt.messages[-1].content, "choices": choices, "answer": answer})
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    files = {"data_files": {"test": str(data)}, "cache_dir": str(folder / "cache")}
    task = yaml.safe_dump({**_CONFIG, "dataset_kwargs": files}, allow_unicode=True)
    (folder / f"{TASK}.yaml").write_text(task, encoding="utf-8")
