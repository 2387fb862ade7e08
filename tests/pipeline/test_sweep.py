"""A sweep trains what differs, shares what does not, and ends with one table."""

import json
from pathlib import Path

from rich.console import Console

from align.pipeline.sweep import SweepJob, sweep_table


def test_a_sweep_shares_upstream_artifacts_and_prints_a_table(toy, outputs: Path) -> None:
    done = toy.run(outputs, "-m", "stages.dpo.trainer.beta=0.1,0.5", "stages.dpo.trainer.learning_rate=1e-3")
    assert done.returncode == 0, done.stderr
    runs = [json.loads(path.read_text())["stages"] for path in sorted(outputs.glob("runs/toy-*/run.json"))]
    assert [{name: stage["status"] for name, stage in run.items()} for run in runs] == [
        {"pretrain": "cached", "sft": "cached", "dpo": "ran"}
    ] * 2
    assert len({run["dpo"]["artifact"] for run in runs}) == 2
    table = done.stdout[done.stdout.index("override") :]
    assert "dpo/margin" in table.splitlines()[0]
    for beta, run in (("0.1", "toy-0001"), ("0.5", "toy-0002")):
        (line,) = [line for line in table.splitlines() if f"stages.dpo.trainer.beta={beta}" in line]
        assert run in line and "learning_rate" not in line


def test_a_sweep_with_a_bad_value_goes_on_and_ends_with_the_code(toy, outputs: Path) -> None:
    done = toy.run(outputs, "-m", "stages.dpo.trainer.beta=no,0.2", "run.dry_run=true")
    assert done.returncode == 2
    assert "stages.dpo.trainer.beta: " in done.stderr and "Traceback" not in done.stderr
    assert "failed: stages.dpo.trainer.beta" in done.stdout and "would run" in done.stdout


def test_the_table_shows_what_differs_only() -> None:
    jobs = [
        SweepJob(0, ("seed=1", "a=1"), 0, "", "outputs/runs/x-0001", {"gold": 0.5, "same": 1.0}),
        SweepJob(1, ("seed=1", "a=2"), 0, "", "outputs/runs/x-0002", {"gold": 0.75, "same": 1.0}),
        SweepJob(2, ("seed=1", "a=3"), 1, "out of memory\nmore", None, {}),
    ]
    console = Console(width=120, record=True)
    with console.capture() as shown:
        console.print(sweep_table(jobs))
    text = shown.get()
    assert "gold" in text and "same" not in text and "seed" not in text
    assert "0.75" in text and "failed: out of memory" in text and "more" not in text


def test_what_nobody_is_compared_with_comes_first() -> None:
    metrics = {
        "base held_out gold": -1.0, "sft held_out gold": 0.0, "sft held_out gold/win_rate_over_base": 0.75
    }  # fmt: skip
    jobs = [SweepJob(n, (f"seed={n}",), 0, "", None, {k: v + n for k, v in metrics.items()}) for n in (0, 1)]
    assert [column.header for column in sweep_table(jobs).columns] == [
        "override", "sft held_out gold", "sft held_out gold/win_rate_over_base", "base held_out gold", "run"
    ]  # fmt: skip
